"""Continue the pretraining of the base model on domain and general text, or on a blend of components."""

from pathlib import Path

from tapeout.config.dapt import Dapt
from tapeout.program import step
from tapeout.train.launch import every_rank


@step(Dapt)
def main(
    job: Dapt,
    base: Path,
    output: Path,
    domain: Path | None = None,
    general: Path | None = None,
    blend: Path | None = None,
    shards: list[Path] | None = None,
) -> None:
    """Write a NeMo 2 checkpoint folder with train_log.json.

    Args:
        base: NeMo archive of the extended base model.
        domain: domain training text, JSONL.
        general: general training text, JSONL.
        blend: instead of the two: weights of the components, JSON.
        shards: folders with the token ids of the components.
    """
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
    main()
