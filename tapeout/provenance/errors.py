"""User-facing errors of exports."""

from tapeout.errors import TapeoutError


class ExportRefused(TapeoutError):
    """The export would not reproduce the report, would contain a secret, or cannot be written."""


class InvalidExport(TapeoutError):
    """A folder or archive is not a complete, unaltered export, or is not signed by the given key."""


class UntrustedExport(TapeoutError):
    """No trusted key has signed an export whose code would be run."""


class NotIsolated(TapeoutError):
    """This system cannot isolate the code of an export."""


class ReproductionFailed(TapeoutError):
    """The graph of an export cannot be run here, or did not run to its end."""
