"""Write the evaluation report: report.html, report.md, and report.json, measures.csv and changes.csv for programs."""

from pathlib import Path

from tapeout.config.report import EvalReportJob
from tapeout.config.tokenizer_panel import SURGERY
from tapeout.program import step
from tapeout.report.evaluation.contamination import Contamination
from tapeout.report.evaluation.forms import write_forms
from tapeout.report.evaluation.inputs import Action, Provenance, TokenizerReport, action_digest, read_input, read_logs
from tapeout.report.evaluation.numbers import write_numbers
from tapeout.report.evaluation.recall import RecallReport
from tapeout.report.evaluation.report import build, write_page
from tapeout.report.evaluation.serving import read_serving
from tapeout.report.evaluation.tokenizer import Panel, build_page, compared


@step(EvalReportJob)
def main(
    job: EvalReportJob,
    evaluations: list[Path],
    contamination: list[Path],
    models: list[Path],
    tokenizer: Path,
    upstream: list[Path],
    action: Path,
    output: Path,
    recall: Path | None = None,
    certificate: Path | None = None,
    serve_check: Path | None = None,
    tokenizer_panel: Path | None = None,
    surgery: Path | None = None,
) -> None:
    """Compare the models on all tasks and write the report.

    Inputs:
        evaluations: results of the first model for each task, then those of the next model.
        contamination: what the training text contains of the test data, for each task.
        models: folders of the models; their training logs are read.
        tokenizer: report of the tokenizer.
        upstream: all other artifacts that the numbers depend on; only their size is read.
        action: action file of this step.
        recall: recall of retrieval.
        certificate: certificate of the exported model, if it is evaluated.
        serve_check: smoke test of a server with it.
        tokenizer_panel: what the extended tokenizer changes on test text.
        surgery: bits per byte of the extended base model before any training.
    """
    inputs: dict[str, Path | list[Path]] = {
        **{"evaluations": evaluations, "contamination": contamination},
        **{"models": models, "tokenizer": tokenizer},
    }
    optional = {"recall": recall, "certificate": certificate, "serve_check": serve_check}
    optional |= {"tokenizer_panel": tokenizer_panel, "surgery": surgery}
    inputs |= {name: path for name, path in optional.items() if path is not None}
    provenance = Provenance(read_input(action, Action), {**inputs, "upstream": upstream})
    logs = read_logs({name: folder for (name, _), folder in zip(job.models, models, strict=True)})
    vocabulary, found = read_input(tokenizer, TokenizerReport), read_input(recall, RecallReport) if recall else None
    serving = read_serving(certificate, serve_check) if certificate and serve_check else None
    contained = {
        name: read_input(path, Contamination) for (name, _, _), path in zip(job.tasks, contamination, strict=True)
    }
    section = None
    if tokenizer_panel is not None:
        further = {name: path for name, path in ((SURGERY, surgery),) if path is not None}
        section = build_page(read_input(tokenizer_panel, Panel), compared(evaluations, further, job), job)
    report = build(
        evaluations, contained, vocabulary, logs, provenance, job, action_digest(action), found, serving, section
    )
    output.mkdir()
    gates = write_numbers(report, output / "report.json")
    write_page(report, gates, output / "report.html")
    write_forms(report, gates, output)


if __name__ == "__main__":
    main()
