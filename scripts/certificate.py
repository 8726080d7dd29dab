"""Certify that the exported model is the trained one for servers with the current transformers."""

from pathlib import Path

from tapeout.config.export import CertificateJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.data.io.jsonl import write_json
from tapeout.program import step


@step(CertificateJob)
def main(
    job: CertificateJob,
    model: Path,
    rows: list[Path],
    encoded: list[Path],
    texts: list[Path],
    output: Path,
    questions: list[Path] | None = None,
    answers: list[Path] | None = None,
    template: Path | None = None,
) -> None:
    """Write what was compared, with the digests of the model's files.

    Inputs:
        model: exported folder.
        rows: folders of the instruction data sets that the model was trained on.
        encoded: the same sets as token ids, in the same order.
        texts: test texts, JSONL.
        questions: test rows of each evaluated set.
        answers: the evaluation of the trained model on each of them.
        template: folder of the base model, if its own chat template rendered the rows.
    """
    from tapeout.deploy.certificate import certify
    from tapeout.models.base_training import make_deterministic

    make_deterministic(threads=1)
    job = job.model_copy(update={"encoding": with_model_template(job.encoding, template)})
    sets, evaluations = zip(rows, encoded, strict=True), zip(questions or (), answers or (), strict=True)
    write_json(output, certify(model, job, list(sets), texts, list(evaluations)))


if __name__ == "__main__":
    main()
