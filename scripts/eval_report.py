"""Write the evaluation report: report.html for people, report.json for programs."""

from pathlib import Path

from tapeout.config.report import ReportJob
from tapeout.evals.result import read_evaluation
from tapeout.program import step
from tapeout.report.evaluation.figures import compute
from tapeout.report.evaluation.inputs import Action, TokenizerReport, TrainLog, action_digest, read_input
from tapeout.report.evaluation.material import Material
from tapeout.report.evaluation.page import render
from tapeout.report.evaluation.provenance import Provenance
from tapeout.report.evaluation.summary import summary


@step(ReportJob)
def main(
    job: ReportJob,
    base: Path,
    dapt: Path,
    sft: Path,
    tokenizer: Path,
    dapt_log: Path,
    sft_log: Path,
    behind: list[Path],
    action: Path,
    output: Path,
) -> None:
    """Compare the three models and write the report.

    Args:
        base: evaluation of the base model.
        dapt: evaluation after continued pretraining.
        sft: evaluation after fine-tuning.
        tokenizer: report of the tokenizer.
        dapt_log: training log of the continued pretraining.
        sft_log: training log of the fine-tuning.
        behind: all upstream artifacts; only their size is read.
        action: action file of this step.
    """
    files = {"base": base, "dapt": dapt, "sft": sft, "tokenizer": tokenizer, "dapt_log": dapt_log, "sft_log": sft_log}
    provenance = Provenance(read_input(action, Action), {**files, "behind": behind})
    evaluations = {model: read_evaluation(files[model]) for model in ("base", "dapt", "sft")}
    material = Material(
        evaluations=evaluations,
        figures=compute(evaluations, job, provenance),
        tokenizer=read_input(tokenizer, TokenizerReport),
        logs={"dapt": read_input(dapt_log, TrainLog), "sft": read_input(sft_log, TrainLog)},
        provenance=provenance,
        params=job,
        action=action_digest(action),
    )
    output.mkdir()
    (output / "report.json").write_bytes(summary(material))
    (output / "report.html").write_text(render(material), encoding="utf-8")


if __name__ == "__main__":
    main()
