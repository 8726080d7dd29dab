"""Retrieval: passages of the corpora, an index of them, and how often it finds what a question is about."""
