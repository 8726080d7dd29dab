"""Continue the pretraining of the base model on domain and general text, or on a blend of components."""

from pathlib import Path

from tapeout.config.dapt import Dapt
from tapeout.program import step
from tapeout.train.run import run_method


@step(Dapt)
def main(
    job: Dapt,
    model: Path,
    output: Path,
    domain: Path | None = None,
    general: Path | None = None,
    blend: Path | None = None,
    shards: list[Path] | None = None,
) -> None:
    """Write a NeMo 2 checkpoint folder with train_log.json.

    Inputs:
        model: NeMo archive of the extended base model.
        domain: domain training text, JSONL.
        general: general training text, JSONL.
        blend: weights of the components, JSON; replaces ``domain`` and ``general``.
        shards: folders with the token ids of the components.
    """
    inputs = {"domain": domain, "general": general, "blend": blend, "shards": shards}
    run_method("dapt", job, model, output, inputs)


if __name__ == "__main__":
    main()
