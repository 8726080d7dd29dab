"""Create a tiny language model from a seed and train it on general text."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tapeout.config.bases.tiny import BaseJob
from tapeout.program import step


@step(BaseJob)
def main(job: BaseJob, vocabulary: Path, general: Path, output: Path) -> None:
    """Write a Hugging Face folder with train_log.json.

    Inputs:
        vocabulary: folder of the source with the base vocabulary.
        general: general training text, JSONL.
    """
    from tapeout.data.io.jsonl import write_json
    from tapeout.models.base_training import make_deterministic, read_documents, train
    from tapeout.models.family import load_family
    from tapeout.models.huggingface import new_model, save_model
    from tapeout.tokenizer.source import vocabulary_in_source

    make_deterministic(job.threads)
    with TemporaryDirectory() as folder:
        tokenizer = Path(folder) / ("tokenizer.json" if job.model_file.endswith(".json") else "tokenizer.model")
        tokenizer.write_bytes(vocabulary_in_source(vocabulary, job.model_file).content)
        model = new_model(job, tokenizer)
        documents = read_documents(general, tokenizer)
        log = train(model, documents, job)
        save_model(model, load_family(job.family), tokenizer, output)
    write_json(output / "train_log.json", log)


if __name__ == "__main__":
    main()
