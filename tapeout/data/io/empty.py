"""The error of whoever makes or reads a corpus without text."""

from tapeout.errors import TapeoutError


class EmptyCorpus(TapeoutError):
    """A corpus, or a part of one, holds no text."""
