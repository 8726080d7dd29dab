"""Check a Hugging Face folder from a source, and copy it byte for byte."""

from pathlib import Path

from tapeout.config.base import ImportJob
from tapeout.program import step


@step(ImportJob)
def main(job: ImportJob, source: Path, output: Path) -> None:
    """Write a Hugging Face folder with import.json.

    Inputs:
        source: folder of the source that contains the model, as files or in one archive.
    """
    from tapeout.models.import_folder import import_folder

    import_folder(source, output, job)


if __name__ == "__main__":
    main()
