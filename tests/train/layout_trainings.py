"""One process that trains the tiny model in many layouts; run by the fixture ``layouts``.

NeMo is imported once: each rank of each training is a forked child, which starts as a fresh process would.
"""

import json
import os
import random
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.train.interrupted_trainings import STEPS, TEXT, Kill, await_kill, kills, run_child, use_checkpoints

DIVIDED = {"devices": 2, "distributed_optimizer": True}
SHARED = {"devices": 2, "context_parallel_size": 2, "distributed_optimizer": True}
CONTEXT_STAGES = {"devices": 4, "context_parallel_size": 2, "pipeline_model_parallel_size": 2}
LAYOUTS: dict[str, dict[str, Any]] = {
    "one": {},
    "selective": {"recompute": "selective"},
    "full": {"recompute": "full"},
    "data": {"devices": 2},
    "divided": DIVIDED,
    "tensor": {"devices": 2, "tensor_model_parallel_size": 2},
    "sequence": {"devices": 2, "tensor_model_parallel_size": 2, "sequence_parallel": True},
    "context": SHARED,
    "pipeline": {"devices": 2, "pipeline_model_parallel_size": 2},
    "stages": {"devices": 4, "pipeline_model_parallel_size": 2, "distributed_optimizer": True},
    "all": {
        **{"devices": 8, "tensor_model_parallel_size": 2, "pipeline_model_parallel_size": 2},
        **{"sequence_parallel": True, "distributed_optimizer": True, "recompute": "full"},
    },
    "text": {},
    "text context": {"devices": 2, "context_parallel_size": 2},
    "context of parts": {
        **{"devices": 4, "context_parallel_size": 2, "tensor_model_parallel_size": 2},
        **{"sequence_parallel": True, "recompute": "full"},
    },
}


def main(folder: Path, count: int, names: list[str]) -> None:
    """Instantiate a 70B, train in some layouts, then kill one ``count`` times and resume it.

    What happened is written to ``meta.json`` and ``results.json``.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    import lightning.pytorch as lightning

    from benchmarks.meta_layout import check
    from tapeout.encoder.load import load_encoder
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.batches import sequences
    from tapeout.train.launch import Rank, StopRequest
    from tapeout.train.method import load_method
    from tapeout.train.train_log import TrainLog
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import instruction_set, tiny_model

    base, ranks = folder / "base", Ranks(folder)
    source = tiny_model(folder / "source")
    ranks.run("import", 1, lambda _: import_checkpoint(source, base, folder))
    tokenizer = tokenizer_path(base)
    texts = {name: folder / f"{name}.jsonl" for name in ("domain", "general")}
    for path in texts.values():
        path.write_text(json.dumps({"text": TEXT * 40}) + "\n")
    rows = {"encoded": [instruction_set(folder, load_encoder(tokenizer))[1]]}

    class Poisoned(ForwardStep):
        """Loss that is NaN in one micro-batch of rank 3."""

        calls = 0

        def __init__(self, call: int) -> None:
            super().__init__()
            self.call = call

        def __call__(self, model: Any, batch: dict[str, Any]) -> Any:
            self.calls += 1
            found = super().__call__(model, batch)
            return found * float("nan") if os.environ["RANK"] == "3" and self.calls == self.call else found

    class Norms(lightning.Callback):
        """Norms of the gradient, which Adam's steps do not depend on."""

        def __init__(self) -> None:
            self.values: list[float] = []

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            log = next(callback for callback in trainer.callbacks if isinstance(callback, TrainLog))
            self.values.append(log.metrics["grad_norm"])

    def training(name: str, layout: dict[str, Any], poisoned_call: int = 0) -> None:
        """Train in a layout: on text if the name says so, or else on packed rows."""
        kind = name.split()[0] if name.startswith("text") else "rows"
        method = load_method({"text": "dapt", "rows": "sft"}[kind])
        job = method.Parameters(
            **{"max_steps": STEPS, "warmup_steps": 2, "seq_length": 64, "global_batch_size": 4, "micro_batch_size": 1},
            **{"threads": 1, "layout": layout, **({"val_check_interval": 5} if kind == "rows" else {})},
        )
        world, norms = job.layout.world_size, Norms()
        members = {name: getattr(method, name) for name in ("KIND", "data", "files", "loss")}
        if poisoned_call:
            members["loss"] = lambda _: (Poisoned(poisoned_call), LossReduction())
        observed: Any = SimpleNamespace(**members, callbacks=lambda _: [norms])

        def work(number: int) -> None:
            rank = Rank(number, world, number, world, folder / f"{name}.work", StopRequest([folder / "stop"]))
            data = method.data(job, tokenizer, rows if kind == "rows" else texts, rank.once)
            print("rows", data.names(sequences(job, 3, job.layout.replicas - 1, 1)))
            log = train(base, data, job, observed, folder / name, rank)
            if rank.first:
                (folder / name / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")
                (folder / f"{name}.norms").write_text(json.dumps(norms.values))

        ranks.run(name, world, work)

    meta = folder / "meta.json"
    ranks.run("meta", 1, lambda _: meta.write_text(json.dumps(check("config/models/llama2-70b.yaml", replicas=1))))
    for name in names:
        training(name, LAYOUTS[name])
    training("poisoned", LAYOUTS["stages"], poisoned_call=6)
    training("poisoned context", CONTEXT_STAGES, poisoned_call=10)
    draw = random.Random(7)
    for name, layout, times in (("killed", DIVIDED, count), ("killed context", SHARED, 1)):
        use_checkpoints(folder / f"{name}.checkpoints", seconds=0)
        for ranks.kill in kills(times, draw):
            training(name, layout)
        ranks.kill = None
        training(name, layout)
    (folder / "results.json").write_text(json.dumps(ranks.results))


@dataclass
class Ranks:
    """Trainings, each rank in its own child process.

    Attributes:
        folder: folder of all trainings.
        results: statuses and output of each training, by name.
        kill: when all ranks are killed; None if they are not.
    """

    folder: Path
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kill: Kill | None = None

    def run(self, name: str, world: int, work: Any) -> None:
        """Run ``work`` with the number of each rank from the start, in ``world`` children."""
        for left in (self.folder / name, self.folder / f"{name}.work"):
            shutil.rmtree(left, ignore_errors=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
        logs = [self.folder / f"{name}.{number}.log" for number in range(world)]
        started = time.monotonic()
        pids = [fork(number, world, logs[number], work) for number in range(world)]
        if self.kill is not None:
            await_kill(pids[0], logs[0], self.kill)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        seconds = time.monotonic() - started
        print(name, statuses, f"{seconds:.1f} s", flush=True)
        result = {"statuses": statuses, "outputs": [log.read_text() for log in logs]}
        self.results.setdefault(name, []).append(result)


def fork(number: int, world: int, log: Path, work: Any) -> int:
    """Run ``work`` in a child that is one of ``world`` ranks; return its process id."""
    log.write_text("")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        numbers = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        os.environ |= {name: str(value) for name, value in numbers.items()}
        run_child(partial(work, number), log)
    return pid


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
