"""Vocabulary extension, embedding surgery and their checks."""
