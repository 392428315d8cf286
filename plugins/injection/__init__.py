"""Injection: refuses a message that attacks the model; replaces tool results, documents and descriptions that do."""
