"""Fetch one source and verify it. The only step that may use the network."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.sources import Fetch
from tapeout.program import run
from tapeout.sources.download import downloads_folder
from tapeout.sources.fetch import fetch_source


def main(
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write the files of the source that ``params`` describes into the new folder ``output``."""
    record = Fetch.model_validate_json(params.read_bytes()).record
    fetch_source(record, output, downloads_folder())


if __name__ == "__main__":
    run(main)
