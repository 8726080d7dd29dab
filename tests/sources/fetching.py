"""Fetch a record as the script does."""

from pathlib import Path

from tapeout.config.sources import Record, RetryPolicy


def fetch_source(record: Record, output: Path, downloads: Path, policy: RetryPolicy | None = None) -> None:
    """Fetch into the new folder ``output``."""
    output.mkdir()
    record.fetch(output, downloads, policy)
