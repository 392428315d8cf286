"""What is in a text that should not be everywhere: personal data and secrets, pure: a text in, spans out."""
