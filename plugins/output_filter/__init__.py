"""Output filter: takes secrets, personal data of strangers and links that leak out of answers while they stream."""
