"""Continue the pretraining of the base model on domain and general text, or on a blend of components."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.dapt import Dapt
from tapeout.program import run
from tapeout.train.launch import every_rank


def main(
    base: Annotated[Path, typer.Option(help="NeMo archive of the extended base model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="NeMo checkpoint folder to write")],
    domain: Annotated[Path | None, typer.Option(help="domain training text, JSONL")] = None,
    general: Annotated[Path | None, typer.Option(help="general training text, JSONL")] = None,
    blend: Annotated[Path | None, typer.Option(help="in place of these, shares of the components, JSON")] = None,
    shards: Annotated[list[Path] | None, typer.Option(help="and folders of their token ids")] = None,
) -> None:
    """Write a NeMo-2 checkpoint folder with its train_log.json."""
    job = Dapt.model_validate_json(params.read_bytes())
    with every_rank(job.layout, job.threads) as rank:
        from tapeout.nemo.process import prepare

        prepare(job.threads, gpu=job.layout.accelerator == "gpu")
        from tapeout.nemo.archive import unpack
        from tapeout.nemo.read import tokenizer_path
        from tapeout.train.blended import blended_samples
        from tapeout.train.samples import text_samples
        from tapeout.train.trainer import train, write_log

        model = rank.once("base", lambda folder: unpack(base, folder))
        if blend is not None:
            samples = blended_samples(blend, shards or [], job)
        else:
            assert domain is not None and general is not None, "the rule names both"
            samples = text_samples(domain, general, tokenizer_path(model), job)
        log = train(model, samples, job, output, rank, "pretrain")
        if rank.first:
            write_log(log, output)


if __name__ == "__main__":
    run(main)
