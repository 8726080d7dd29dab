"""Convert the extended base model to one deterministic NeMo archive."""

import os
import tempfile
from pathlib import Path

from tapeout.program import step


@step()
def main(base: Path, output: Path) -> None:
    """Write the archive; equal models give equal bytes.

    Inputs:
        base: Hugging Face folder of the extended base model.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.archive import pack
    from tapeout.nemo.convert import import_checkpoint

    folder = Path(tempfile.mkdtemp())
    import_checkpoint(base, folder / "checkpoint", Path(os.environ.get("TMPDIR", tempfile.gettempdir())))
    pack(folder / "checkpoint", output)


if __name__ == "__main__":
    main()
