"""Convert a model of NeMo from a source to a Hugging Face folder, and check it."""

from pathlib import Path

from tapeout.config.base import ImportJob
from tapeout.program import step


@step(ImportJob)
def main(job: ImportJob, source: Path, output: Path) -> None:
    """Write a Hugging Face folder with import.json.

    Inputs:
        source: folder of the source that contains the model.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.models.import_folder import nemo_model, write_report
    from tapeout.nemo.import_nemo import import_nemo

    found = import_nemo(nemo_model(source, job.path), job.family, output)
    write_report(output, job, {"nemo": found})


if __name__ == "__main__":
    main()
