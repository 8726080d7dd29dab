"""Evaluate one model: bits per byte, loss of expected answers, generated answers."""

from pathlib import Path

from tapeout.config.evaluation import EvaluationParameters
from tapeout.program import step


@step(EvaluationParameters)
def main(job: EvaluationParameters, model: Path, domain: Path, general: Path, instructions: Path, output: Path) -> None:
    """Write the results of a model, with a value for each document and row, as JSON.

    Args:
        model: Hugging Face folder or NeMo checkpoint folder.
        domain: test documents of the domain corpus, JSONL.
        general: test documents of the general corpus, JSONL.
        instructions: test rows of the instruction data, JSONL.
    """
    from tapeout.evals.measure import evaluate
    from tapeout.evals.result import write_evaluation

    write_evaluation(evaluate(model, domain, general, instructions, job), output)


if __name__ == "__main__":
    main()
