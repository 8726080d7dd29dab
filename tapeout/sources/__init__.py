"""Fetching of pinned sources, by kind."""
