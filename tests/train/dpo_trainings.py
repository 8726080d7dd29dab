"""One process that trains the tiny model on preference pairs in several layouts; run by test_dpo.py.

NeMo is imported once: each rank of each training is a forked child, which starts as a fresh process would.
"""

import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.nemo.tiny_model import PORTS, TEMPLATE
from tests.train.interrupted_trainings import kills, use_checkpoints
from tests.train.layout_trainings import Ranks

STEPS = 16
KILLS = 3
BETA = 0.3
PAIRS = [{"prompt": f"{a} or {b}?", "chosen": a, "rejected": f"{a} {b}"} for a in PORTS for b in PORTS if a < b]
"""Separable pairs: the chosen answer ends after one word."""
DROPPED = [
    {"prompt": "clk?", "chosen": "clk", "rejected": " clk "},
    {"prompt": "clk?", "chosen": "clk " * 40, "rejected": "data"},
]
LAYOUTS: dict[str, tuple[int, dict[str, Any]]] = {
    "micro4": (4, {}),
    "micro2": (2, {}),
    "micro1": (1, {}),
    "data": (2, {"devices": 2, "distributed_optimizer": True}),
    "tensor": (2, {"devices": 2, "tensor_model_parallel_size": 2, "sequence_parallel": True}),
    "pipeline": (1, {"devices": 4, "pipeline_model_parallel_size": 2, "recompute": "full"}),
}
"""Size of a micro-batch, and layout."""


def parameters(name: str) -> dict[str, Any]:
    """Return the parameters of a training."""
    micro_batch_size, layout = LAYOUTS[name]
    sizes = {"max_steps": STEPS, "warmup_steps": 2, "seq_length": 64, "global_batch_size": 4, "threads": 1}
    return {
        **{**sizes, "lr": 0.003, "beta": BETA, "sources": ["ports"]},
        **{"micro_batch_size": micro_batch_size, "layout": layout},
    }


def main(folder: Path) -> None:
    """Train in all layouts, then kill a training and resume it; write what happened to ``results.json``."""
    import torch

    from tapeout.nemo.process import prepare

    prepare(threads=1)
    import lightning.pytorch as lightning

    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.train.launch import Rank, StopRequest
    from tapeout.train.methods import dpo
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import tiny_model
    from tests.train.gradients import gradients_of

    base, ranks = folder / "base", Ranks(folder)
    source = tiny_model(folder / "source")
    ranks.run("import", 1, lambda _: import_checkpoint(source, base, folder))
    (folder / "ports").mkdir()
    (folder / "ports/pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in (*DROPPED, *PAIRS)))
    (folder / "template.json").write_text(json.dumps({"template": TEMPLATE}))
    inputs = {"pairs": [folder / "ports"], "template": folder / "template.json"}

    class Gradients(lightning.Callback):  # type: ignore[misc]
        """Note the gradients of the first and of the last step."""

        def __init__(self, output: Path) -> None:
            self.output = output

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step in (1, STEPS):
                torch.save(gradients_of(trainer, base), f"{self.output}.gradients.{trainer.global_step}")

    def training(name: str, like: str) -> None:
        job = dpo.Parameters.model_validate(parameters(like))
        world = job.layout.world_size
        members = {member: getattr(dpo, member) for member in ("KIND", "data", "files", "loss")}
        noted = [Gradients(folder / name)] if name.startswith("micro") else []
        observed: Any = SimpleNamespace(**members, callbacks=lambda _: noted)

        def work(number: int) -> None:
            rank = Rank(number, world, number, world, folder / f"{name}.work", StopRequest([folder / "stop"]))
            data = dpo.data(job, tokenizer_path(base), inputs, rank.once)
            log = train(base, data, job, observed, folder / name, rank)
            if rank.first:
                (folder / name / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")

        ranks.run(name, world, work)

    for name in LAYOUTS:
        training(name, name)
    use_checkpoints(folder / "killed.checkpoints", seconds=0)
    for ranks.kill in kills(KILLS, random.Random(7)):
        training("killed", "data")
    ranks.kill = None
    training("killed", "data")
    (folder / "results.json").write_text(json.dumps(ranks.results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
