"""Weir: a sidecar proxy for LLM traffic."""

__version__ = "0.1.0"
PRODUCT = "weir"
"""Told from another package that also calls itself `proxy`."""
