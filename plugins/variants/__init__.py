"""Which variant of a prompt, a model or a setting a call gets: sticky weighted assignment, and what it changes."""
