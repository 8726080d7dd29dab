"""Readers of instruction data formats, one module a format."""
