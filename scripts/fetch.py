"""Fetch one source and verify it; the only step that may use the network."""

from pathlib import Path

from tapeout.config.sources import Fetch
from tapeout.program import step
from tapeout.sources.download import downloads_folder
from tapeout.sources.fetch import fetch_source


@step(Fetch)
def main(job: Fetch, output: Path) -> None:
    """Write the files of the source into the new folder ``output``."""
    fetch_source(job.record, output, downloads_folder())


if __name__ == "__main__":
    main()
