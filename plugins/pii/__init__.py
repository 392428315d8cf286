"""Pii: sends placeholders instead of personal data and secrets, and puts the originals back into the answer."""
