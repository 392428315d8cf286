"""Variants: each user, session or conversation gets one variant of a test. There are no tests until some are set."""
