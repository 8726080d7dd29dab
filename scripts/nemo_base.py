"""Convert the extended base model into one deterministic NeMo archive."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tapeout.program import run


def main(
    base: Annotated[Path, typer.Option(help="Hugging Face folder of the extended base model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON; there are none")],
    output: Annotated[Path, typer.Option(help="NeMo archive to write")],
) -> None:
    """Write the archive; the same model gives the same bytes."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.archive import pack
    from tapeout.nemo.convert import import_checkpoint

    workplace = Path(tempfile.mkdtemp())
    import_checkpoint(base, workplace / "checkpoint", Path(os.environ.get("TMPDIR", tempfile.gettempdir())))
    pack(workplace / "checkpoint", output)


if __name__ == "__main__":
    run(main)
