"""Measure one model: bits per byte, loss of expected answers, generated answers."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.evaluation import EvaluationParameters
from tapeout.program import run


def main(
    model: Annotated[Path, typer.Option(help="Hugging Face folder or NeMo checkpoint folder")],
    domain: Annotated[Path, typer.Option(help="test documents of the domain corpus, JSONL")],
    general: Annotated[Path, typer.Option(help="test documents of the general corpus, JSONL")],
    instructions: Annotated[Path, typer.Option(help="test rows of the instruction data, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="JSON file to write")],
) -> None:
    """Measure a model and write the result, with a value per document and row."""
    parameters = EvaluationParameters.model_validate_json(params.read_bytes())

    from tapeout.evals.measure import evaluate
    from tapeout.evals.result import write_evaluation

    write_evaluation(evaluate(model, domain, general, instructions, parameters), output)


if __name__ == "__main__":
    run(main)
