"""Training of the models that Weir ships, one command each: `python -m benchmarks.training injection`."""
