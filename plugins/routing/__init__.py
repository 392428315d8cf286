"""Which model answers a call: rules, then the cheapest model that is good enough, learnt and measured."""
