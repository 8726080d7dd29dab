"""Extend the base vocabulary by pieces of the domain text, and check the result."""

import os
from pathlib import Path

import typer

from tapeout.command import run
from tapeout.config.tokenizer import Tokenizer
from tapeout.data.jsonl import write_json
from tapeout.tokenizer.extension import extend_vocabulary
from tapeout.tokenizer.report import check
from tapeout.tokenizer.sentencepiece_model import model_in_wheel
from tapeout.tokenizer.texts import read_texts, read_texts_by_source


def main(
    base: Path = typer.Option(...),
    domain: Path = typer.Option(...),
    general: Path = typer.Option(...),
    domain_test: Path = typer.Option(...),
    general_test: Path = typer.Option(...),
    params: Path = typer.Option(...),
    output: Path = typer.Option(...),
) -> None:
    """Write tokenizer.model (extended), base.model and report.json into a new folder."""
    job = Tokenizer.model_validate_json(params.read_bytes())
    threads = int(os.environ.get("TAPEOUT_THREADS", "1"))

    model = model_in_wheel(base, job.model_file)
    extension = extend_vocabulary(model, read_texts_by_source(domain), read_texts_by_source(general), job, threads)
    report = check(model, extension, read_texts(domain_test), read_texts(general_test), job, threads)

    output.mkdir()
    (output / "base.model").write_bytes(model)
    (output / "tokenizer.model").write_bytes(extension.model)
    write_json(output / "report.json", report)


if __name__ == "__main__":
    run(main)
