"""One process that fine-tunes the tiny model with several schedules; run by the fixture ``sft_trainings``.

NeMo is imported once: each training is a forked child, which starts as a fresh process would.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.train.interrupted_trainings import Attempts, Work, at_step, use_checkpoints

COMMON = {"seq_length": 64, "global_batch_size": 4, "micro_batch_size": 2, "threads": 1}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"schedule": "constant"},
    "wsd": {"schedule": "wsd", "decay_steps": 4, "min_lr_fraction": 0.5},
    "cosine": {"min_lr_fraction": 0.5},
}
RATES = {"max_steps": 10, "warmup_steps": 3, "lr": 0.01, "val_check_interval": 10}


def main(folder: Path) -> None:
    """Train with each schedule, without interruption and with a stop in the warm-up and one in the decay."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.config.sft import Sft
    from tapeout.encoder.load import load_encoder
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.train.launch import single_rank
    from tapeout.train.method import load_method
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import instruction_set, tiny_model

    base, attempts, method = folder / "base", Attempts(folder), load_method("sft")
    source = tiny_model(folder / "source")
    attempts.fork(lambda: import_checkpoint(source, base, folder), folder / "import.log")
    tokenizer = tokenizer_path(base)
    encoded = instruction_set(folder, load_encoder(tokenizer))[1]

    def training(name: str, values: dict[str, Any]) -> Work:
        job = Sft(**COMMON, **values)

        def work() -> None:
            rank = single_rank(folder / f"{name}.work")
            rank.stop.listen()
            data = method.data(job, tokenizer, {"encoded": [encoded]}, rank.once)
            log = train(base, data, job, method, folder / name, rank)
            (folder / name / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")

        return work

    def stopped(name: str, values: dict[str, Any], steps: list[int]) -> None:
        """Train with a stop after each of some steps."""
        use_checkpoints(folder / f"{name}.checkpoints", seconds=1800)
        stop = folder / "stop"
        os.environ["TAPEOUT_STOP"] = str(stop)
        for step in steps:
            attempts.run(name, at_step(step, stop.touch, training(name, values)))
            stop.unlink()
        attempts.run(name, training(name, values))
        del os.environ["TAPEOUT_STATE"], os.environ["TAPEOUT_STOP"]

    for name, schedule in SCHEDULES.items():
        attempts.run(name, training(name, RATES | schedule))
        stopped(f"{name} stopped", RATES | schedule, [2, 7])
    (folder / "results.json").write_text(json.dumps(attempts.results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
