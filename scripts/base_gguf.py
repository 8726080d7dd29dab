"""Convert a GGUF file to a Hugging Face folder with 32-bit floats."""

from pathlib import Path

from tapeout.config.base import ImportJob
from tapeout.program import step


@step(ImportJob)
def main(job: ImportJob, source: Path, output: Path) -> None:
    """Write a Hugging Face folder with import.json.

    Inputs:
        source: folder of the source that contains the file, as it is or in one archive.
    """
    from tapeout.models.gguf import import_gguf

    import_gguf(source, output, job)


if __name__ == "__main__":
    main()
