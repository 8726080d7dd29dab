"""Write the evaluation report: report.html for people, report.json for programs."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.report import ReportJob
from tapeout.program import run


def main(
    base: Annotated[Path, typer.Option(help="evaluation of the base model")],
    dapt: Annotated[Path, typer.Option(help="evaluation after continued pretraining")],
    sft: Annotated[Path, typer.Option(help="evaluation after fine-tuning")],
    tokenizer: Annotated[Path, typer.Option(help="report of the tokenizer")],
    dapt_log: Annotated[Path, typer.Option(help="training log of the continued pretraining")],
    sft_log: Annotated[Path, typer.Option(help="training log of the fine-tuning")],
    behind: Annotated[list[Path], typer.Option(help="every other artifact behind the numbers; only its size is read")],
    action: Annotated[Path, typer.Option(envvar="TAPEOUT_ACTION", help="action file of this step")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Compare the three models and write the report."""
    from tapeout.evals.result import read_evaluation
    from tapeout.report.evaluation.figures import compute
    from tapeout.report.evaluation.inputs import Action, TokenizerReport, TrainLog, action_digest, read_input
    from tapeout.report.evaluation.material import Material
    from tapeout.report.evaluation.page import render
    from tapeout.report.evaluation.provenance import Provenance
    from tapeout.report.evaluation.summary import summary

    parameters = ReportJob.model_validate_json(params.read_bytes())
    files = {"base": base, "dapt": dapt, "sft": sft, "tokenizer": tokenizer, "dapt_log": dapt_log, "sft_log": sft_log}
    provenance = Provenance(read_input(action, Action), {**files, "behind": behind})
    evaluations = {model: read_evaluation(files[model]) for model in ("base", "dapt", "sft")}
    material = Material(
        evaluations=evaluations,
        figures=compute(evaluations, parameters, provenance),
        tokenizer=read_input(tokenizer, TokenizerReport),
        logs={"dapt": read_input(dapt_log, TrainLog), "sft": read_input(sft_log, TrainLog)},
        provenance=provenance,
        params=parameters,
        action=action_digest(action),
    )
    output.mkdir()
    (output / "report.json").write_bytes(summary(material))
    (output / "report.html").write_text(render(material), encoding="utf-8")


if __name__ == "__main__":
    run(main)
