"""User-facing errors of exports."""

from tapeout.errors import TapeoutError


class ExportRefused(TapeoutError):
    """The export would not reproduce the report, would contain a secret, or cannot be written."""


class InvalidExport(TapeoutError):
    """A folder or archive is not an export, is incomplete, was altered, or contradicts itself."""


class InvalidSignature(TapeoutError):
    """A key cannot be used, or a signature is missing, by another key, or does not match."""


class ReproductionFailed(TapeoutError):
    """The graph of an export cannot be run here, or did not run to its end."""
