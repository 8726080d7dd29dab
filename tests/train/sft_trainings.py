"""One process that fine-tunes the tiny model with schedules and selections; run by the fixture ``sft_trainings``.

NeMo is imported once: each rank of each training is a forked child, which starts as a fresh process would.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.train.interrupted_trainings import Attempts, at_step, use_checkpoints
from tests.train.layout_trainings import Ranks

Values = dict[str, Any]
COMMON = {"seq_length": 64, "global_batch_size": 4, "micro_batch_size": 2, "threads": 1}
SCHEDULES: dict[str, Values] = {
    "constant": {"schedule": "constant"},
    "wsd": {"schedule": "wsd", "decay_steps": 4, "min_lr_fraction": 0.5},
    "cosine": {"min_lr_fraction": 0.5},
}
RATES = {"max_steps": 10, "warmup_steps": 3, "lr": 0.01, "val_check_interval": 10}
STOPPED = "wsd"
"""The schedule with a warm-up, a constant part and a decay."""
INTERVAL, STEPS, PATIENCE = 3, 48, 1
MEASURED = 4 * INTERVAL
"""Steps of the training whose categories are measured."""
OVERFITTED: Values = {
    **{"max_steps": STEPS, "warmup_steps": 0, "lr": 0.01, "schedule": "constant"},
    "val_check_interval": INTERVAL,
}
"""With a constant rate, a training of fewer steps has the weights of this one after these steps."""
BEST = {"selection": "best", "patience": PATIENCE}
CATEGORY = "swapped"
OF_CATEGORY = {"validation_by_category": True, "monitor": f"validation_loss/{CATEGORY}"}
LAYOUTS: dict[str, Values] = {
    "divided": {"devices": 2, "distributed_optimizer": True},
    "tensor": {"devices": 2, "tensor_model_parallel_size": 2},
    "pipeline": {"devices": 2, "pipeline_model_parallel_size": 2},
    "context": {"devices": 2, "context_parallel_size": 2},
}


def main(folder: Path) -> None:
    """Train with each schedule and selection, uninterrupted and with stops and kills, and in several layouts."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.config.sft import Sft
    from tapeout.encoder.load import load_encoder
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.train.launch import Rank, StopRequest, single_rank
    from tapeout.train.method import load_method
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import instruction_set, tiny_model

    base, attempts, ranks, method = folder / "base", Attempts(folder), Ranks(folder), load_method("sft")
    source = tiny_model(folder / "source")
    attempts.fork(lambda: import_checkpoint(source, base, folder), folder / "import.log")
    tokenizer, stop = tokenizer_path(base), folder / "stop"
    encoded = instruction_set(folder, load_encoder(tokenizer))[1]
    write_categories(encoded / "validation.jsonl", load_encoder(tokenizer))

    def work(name: str, job: Any, rank: Any) -> None:
        rank.stop.listen()
        data = method.data(job, tokenizer, {"encoded": [encoded]}, rank.once)
        log = train(base, data, job, method, folder / name, rank)
        if rank.first:
            (folder / name / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")

    def run(name: str, values: Values, step: int = 0, event: Callable[[], None] = stop.touch) -> None:
        """Train; something happens in a step, if one is given."""
        training = partial(work, name, Sft(**COMMON, **values), single_rank(folder / f"{name}.work"))
        attempts.run(name, at_step(step, event, training))
        stop.unlink(missing_ok=True)

    def run_in(layout: str, name: str, values: Values, step: int = 0) -> None:
        """Train in a layout, and stop after a step, if one is given."""
        job = Sft(**COMMON, **values, layout=LAYOUTS[layout])
        world = job.layout.world_size

        def member(number: int) -> None:
            rank = Rank(number, world, number, world, folder / f"{name}.work", StopRequest([stop]))
            at_step(step, stop.touch, partial(work, name, job, rank))()

        ranks.run(name, world, member)
        stop.unlink(missing_ok=True)

    def log_of(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / name / "train_log.json").read_text())
        return found

    def until(step: int) -> Values:
        return OVERFITTED | {"max_steps": step, "val_check_interval": step}

    os.environ["TAPEOUT_STOP"] = str(stop)
    for name, schedule in SCHEDULES.items():
        run(name, RATES | schedule)
    use_checkpoints(folder / f"{STOPPED}.checkpoints", seconds=1800)
    for step in (2, 7, 0):
        run(f"{STOPPED} stopped", RATES | SCHEDULES[STOPPED], step)
    del os.environ["TAPEOUT_STATE"]

    run("all steps", OVERFITTED)
    run("categories", OVERFITTED | {"validation_by_category": True, "max_steps": MEASURED})
    run("best", OVERFITTED | {"selection": "best"})
    run("best ended", OVERFITTED | BEST)
    run("last ended", OVERFITTED | {"patience": PATIENCE})
    os.environ["TAPEOUT_METRICS"] = str(folder / "metrics.jsonl")
    run("category", OVERFITTED | BEST | OF_CATEGORY)
    del os.environ["TAPEOUT_METRICS"]
    ended = log_of("best ended")
    best, end = ended["selection"]["step"], ended["steps"][-1]["step"]
    run("until the best", until(log_of("best")["selection"]["step"]))
    run("until the best ended", until(best))
    run("until the end", until(end))

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    # a kill comes before the checkpoint of its step
    use_checkpoints(folder / "interrupted.checkpoints", seconds=0)
    for event, step in (
        *((kill, 1), (stop.touch, INTERVAL - 1), (stop.touch, INTERVAL), (kill, INTERVAL + 1)),
        *((kill, best), (stop.touch, best), (kill, best + 1), (stop.touch, end - 1), (kill, end), (kill, 0)),
    ):
        run("interrupted", OVERFITTED | BEST, step, event)
    del os.environ["TAPEOUT_STATE"]

    for layout in LAYOUTS:
        run_in(layout, layout, OVERFITTED | BEST | OF_CATEGORY)
        best = log_of(layout)["selection"]["step"]
        run_in(layout, f"{layout} until the best", until(best))
        use_checkpoints(folder / f"{layout}.checkpoints", seconds=1800)
        for step in (best + 1, 0):
            run_in(layout, f"{layout} stopped", OVERFITTED | BEST | OF_CATEGORY, step)
        del os.environ["TAPEOUT_STATE"]
    (folder / "results.json").write_text(json.dumps({"attempts": attempts.results, "ranks": ranks.results}))


def write_categories(path: Path, encoder: Any) -> None:
    """Write validation rows of two categories: some of the training, and some whose answer is another one."""
    from tapeout.data.encode.prompt import encode_example
    from tests.nemo.tiny_model import PORTS, ROWS, TEMPLATE

    lines = []
    for number, row in enumerate(ROWS[:14]):
        category = CATEGORY if number % 3 else "same"
        output = PORTS[(number * 3) % 8] if number % 3 else row["output"]
        ids, mask = encode_example(encoder, TEMPLATE, row["input"], output)
        lines.append(json.dumps({"ids": ids, "mask": mask, "digest": str(number), "category": category}) + "\n")
    path.write_text("".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
