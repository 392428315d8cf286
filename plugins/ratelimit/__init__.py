"""Rate limits: requests, tokens, calls at once and budgets, reserved before a call and settled after it."""
