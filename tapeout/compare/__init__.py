"""Comparison of artifacts, file by file, each file by its kind."""
