"""Fetch the files of a source by their digests: ``python -m tapeout.sources.prefetch FOLDER``, the record on stdin.

A build without network then finds them in ``FOLDER``, its folder of downloads.
"""

import json
import sys
import tempfile
from pathlib import Path

from tapeout.config.sources import Fetch, downloads_folder
from tapeout.program import named_errors


def prefetch(record: object, folder: Path) -> None:
    """Write the verified files of a record into ``folder``, each under its SHA-256.

    Raises:
        TapeoutError: see ``Record.fetch``.
    """
    source = Fetch.model_validate({"record": record}).record
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source.fetch(Path(scratch), downloads_folder())
        for file in source.remote_files:
            if file.sha256 is not None:
                Path(scratch, file.path).rename(folder / file.sha256)


if __name__ == "__main__":
    with named_errors():
        prefetch(json.load(sys.stdin), Path(sys.argv[1]))
