"""Extend the base vocabulary by pieces of the domain text, and check the result."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.tokenizer import Tokenizer
from tapeout.data.io.jsonl import write_json
from tapeout.program import run
from tapeout.tokenizer.extension import extend_vocabulary, model_in_source
from tapeout.tokenizer.report import check
from tapeout.tokenizer.texts import read_texts, read_texts_by_source


def main(
    base: Annotated[Path, typer.Option(help="folder of the source that holds the base model")],
    domain: Annotated[Path, typer.Option(help="domain training text, JSONL")],
    general: Annotated[Path, typer.Option(help="general training text, JSONL")],
    domain_test: Annotated[Path, typer.Option(help="domain test text, JSONL")],
    general_test: Annotated[Path, typer.Option(help="general test text, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write tokenizer.model (extended), base.model and report.json into a new folder."""
    job = Tokenizer.model_validate_json(params.read_bytes())
    threads = int(os.environ.get("TAPEOUT_THREADS", "1"))

    model = model_in_source(base, job.model_file)
    extension = extend_vocabulary(model, read_texts_by_source(domain), read_texts_by_source(general), job, threads)
    report = check(model, extension, read_texts(domain_test), read_texts(general_test), job, threads)

    output.mkdir()
    (output / "base.model").write_bytes(model)
    (output / "tokenizer.model").write_bytes(extension.model)
    write_json(output / "report.json", report)


if __name__ == "__main__":
    run(main)
