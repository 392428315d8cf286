"""The pii plugin: personal data and secrets leave a call under placeholders, and come back in its answer."""
