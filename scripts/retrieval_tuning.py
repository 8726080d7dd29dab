"""Fine-tune an embedding model on questions about training cores."""

from pathlib import Path

from tapeout.config.embedder_tuning import TuningJob
from tapeout.program import step
from tapeout.retrieval.passages import read_passages
from tapeout.retrieval.question import read_questions
from tapeout.retrieval.tuning import tune


@step(TuningJob)
def main(job: TuningJob, model: Path, questions: Path, passages: Path, output: Path) -> None:
    """Write the folder of the fine-tuned model, with train_log.json.

    Inputs:
        model: folder of the embedding model.
        questions: questions of the training split with their right passages.
        passages: passages of the training split.
    """
    tune(model, read_questions(questions), read_passages(passages), job, output)


if __name__ == "__main__":
    main()
