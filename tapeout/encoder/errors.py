"""Error of tokenizers."""

from tapeout.errors import TapeoutError


class InvalidVocabulary(TapeoutError):
    """A vocabulary cannot be used or extended, fails a check, or does not fit a model."""
