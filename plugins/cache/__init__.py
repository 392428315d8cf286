"""Answers that are given again: the exact cache, what it keeps and where, and what callers may say about it."""
