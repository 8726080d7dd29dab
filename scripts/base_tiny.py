"""Create a tiny language model from a seed and train it on general text."""

from pathlib import Path

from tapeout.config.bases.tiny import Base
from tapeout.program import step


@step(Base)
def main(job: Base, tokenizer: Path, general: Path, output: Path) -> None:
    """Write a Hugging Face folder with train_log.json.

    Inputs:
        tokenizer: model file of the base vocabulary.
        general: general training text, JSONL.
    """
    from tapeout.data.io.jsonl import write_json
    from tapeout.models.base_training import make_deterministic, read_documents, train
    from tapeout.models.family import load_family
    from tapeout.models.huggingface import new_model, save_model

    make_deterministic(job.threads)
    model = new_model(job, tokenizer)
    documents = read_documents(general, tokenizer)
    log = train(model, documents, job)
    save_model(model, load_family(job.family), tokenizer, output)
    write_json(output / "train_log.json", log)


if __name__ == "__main__":
    main()
