"""Fetch pinned sources, by kind."""
