"""Start a server with the exported model and ask it the test prompts."""

import tempfile
from pathlib import Path

import orjson

from tapeout.config.export import ServeCheckJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.data.io.jsonl import write_json
from tapeout.program import step


@step(ServeCheckJob)
def main(
    job: ServeCheckJob,
    model: Path,
    certificate: Path,
    output: Path,
    questions: list[Path] | None = None,
    answers: list[Path] | None = None,
    template: Path | None = None,
) -> None:
    """Write what the server answered alike; the log says how fast.

    Inputs:
        model: exported folder.
        certificate: its certificate, which states how close two tokens are that may change places.
        questions: test rows of each evaluated set.
        answers: the evaluation of the trained model on each of them.
        template: folder of the base model, if its own chat template rendered the rows.
    """
    from tapeout.deploy.serve_check import serve_check
    from tapeout.models.base_training import make_deterministic

    make_deterministic(threads=1)
    job = job.model_copy(update={"encoding": with_model_template(job.encoding, template)})
    certified = orjson.loads(certificate.read_bytes())["answers"] or {"tie_limit": 2 * job.tolerance}
    evaluations = list(zip(questions or (), answers or (), strict=True))
    with tempfile.TemporaryDirectory() as scratch:
        result, speed = serve_check(model, job, evaluations, certified["tie_limit"], Path(scratch))
    print(f"{result['server']} {result['version']}: {speed}")
    write_json(output, result)


if __name__ == "__main__":
    main()
