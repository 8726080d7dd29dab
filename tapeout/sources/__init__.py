"""Fetchers of pinned files from outside, by kind."""
