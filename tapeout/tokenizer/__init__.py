"""Vocabulary extension, embedding surgery and the gates that guard them."""
