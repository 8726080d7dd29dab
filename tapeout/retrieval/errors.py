"""Errors of retrieval."""

from tapeout.errors import TapeoutError


class UnusableIndex(TapeoutError):
    """A folder is not an index of passages."""


class UnusableEmbedder(TapeoutError):
    """A source is not an embedding model that retrieval can read, or a text does not fit it."""
