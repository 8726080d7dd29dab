"""Make a tiny Llama from a seed and train it on general text."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.base import Base
from tapeout.data.io.jsonl import write_json
from tapeout.program import run


def main(
    tokenizer: Annotated[Path, typer.Option(help="SentencePiece model of the base vocabulary")],
    general: Annotated[Path, typer.Option(help="general training text, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="Hugging Face folder to write")],
) -> None:
    """Write a Hugging Face folder with train_log.json."""
    from tapeout.models.llama.architecture import new_llama, save
    from tapeout.models.packing import read_documents
    from tapeout.models.tiny_training import be_repeatable, train

    job = Base.model_validate_json(params.read_bytes())
    be_repeatable(job.threads)

    documents = read_documents(general, tokenizer)
    model = new_llama(job, tokenizer)
    log = train(model, documents, job)

    save(model, tokenizer, output)
    write_json(output / "train_log.json", log)


if __name__ == "__main__":
    run(main)
