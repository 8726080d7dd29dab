"""Fetch one source and verify it; the only step that may use the network."""

from pathlib import Path

from tapeout.config.sources import Fetch, downloads_folder
from tapeout.program import step


@step(Fetch)
def main(job: Fetch, output: Path) -> None:
    """Write the files of the source into the new folder ``output``."""
    output.mkdir()
    job.record.fetch(output, downloads_folder())


if __name__ == "__main__":
    main()
