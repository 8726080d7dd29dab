"""One process that trains the tiny model again and again and interrupts it; run by test_resume.py.

NeMo is imported once: each training is a forked child, which starts as a fresh process would.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEPS = 16
KILLS = 8
TEXT = "always @(posedge clk) data <= address; "
BEGUN = "Rerun State Machine"
"""What NeMo says in the first step of a process."""

Work = Callable[[], None]


def main(place: Path) -> None:
    """Train undisturbed, then with stops and kills; what happened goes to ``place/results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.read import tokenizer_path

    from tapeout.config.dapt import Dapt
    from tapeout.config.sft import Sft
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.train.launch import alone
    from tapeout.train.samples import Samples, all_rows, read_rows, row_samples, text_samples
    from tapeout.train.trainer import train, write_log
    from tests.nemo.material import llama, rows_file

    base, attempts = place / "base", Attempts(place)
    source = llama(place / "source")
    attempts.forked(lambda: import_checkpoint(source, base, place), place / "import.log")
    for corpus in ("domain", "general"):
        (place / f"{corpus}.jsonl").write_text(json.dumps({"text": TEXT * 40}) + "\n")
    common: dict[str, Any] = {"steps": STEPS, "warm_up": 2, "seq_length": 64, "global_batch": 4, "micro_batch": 2}
    job = Dapt(**common, learning_rate=0.02, threads=1)
    tuning = Sft(**common, validate_every=5, threads=1)
    (place / "sft.json").write_text(tuning.model_dump_json())
    rows, _ = read_rows(rows_file(place / "rows.jsonl"), tokenizer_path(base), tuning.template, 64)
    held_out, _ = read_rows(rows_file(place / "held_out.jsonl", 9), tokenizer_path(base), tuning.template, 64)

    def training(name: str, samples: Samples, job: Any, **more: Any) -> Work:
        def work() -> None:
            rank = alone(place / f"{name}.work")
            rank.stop.listen()
            write_log(train(base, samples, job, place / name, rank, **more), place / name)

        return work

    def pretraining(name: str, job: Dapt = job) -> Work:
        samples = text_samples(place / "domain.jsonl", place / "general.jsonl", tokenizer_path(base), job)
        return training(name, samples, job, kind="pretrain")

    def fine_tuning(name: str) -> Work:
        samples, validation = row_samples(rows, tuning), all_rows(held_out, 64)
        return training(name, samples, tuning, kind="finetune", validation=validation, validate_every=5)

    attempts.make("undisturbed", pretraining("undisturbed"))
    attempts.make("tuned", fine_tuning("tuned"))

    stop = place / "stop"
    os.environ["TAPEOUT_STOP"] = str(stop)
    for name, work in (("stopped", pretraining("stopped")), ("tuned stopped", fine_tuning("tuned stopped"))):
        use_states(place / f"{name}.states", seconds=1800)
        attempts.make(name, at_step(3, stop.touch, work))
        attempts.make(name, work)
        stop.unlink()
        attempts.make(name, at_step(9, lambda: os.kill(os.getpid(), signal.SIGTERM), work))
        attempts.make(name, work)

    use_states(place / "killed.states", seconds=0)  # a state at every step: a kill is likely to hit one being written
    chance = random.Random(7)
    for _ in range(KILLS):
        attempts.make("killed", pretraining("killed"), kill_after=chance.uniform(0, 0.1))
    attempts.make("killed", pretraining("killed"))

    shutil.copytree(place / "killed.states", place / "damaged.states")
    part = place / "damaged.states" / f"step-{STEPS - 1}" / "part-0.pt"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    use_states(place / "damaged.states", seconds=1800)
    attempts.make("damaged", pretraining("damaged"))
    attempts.make("other", pretraining("other", job.model_copy(update={"learning_rate": 0.01})))
    (place / "results.json").write_text(json.dumps(attempts.results))


def use_states(folder: Path, seconds: float) -> None:
    """Keep states in ``folder`` from now on, every ``seconds``."""
    folder.mkdir(exist_ok=True)
    os.environ |= {"TAPEOUT_STATE": str(folder), "TAPEOUT_CHECKPOINT_SECONDS": str(seconds)}


def at_step(step: int, event: Callable[[], None], work: Work) -> Work:
    """``work``, during which ``event`` happens in the given step."""
    from tapeout.train import train_log

    def with_event() -> None:
        told = train_log.report

        def report(done: int, total: int, **values: float | str) -> None:
            told(done, total, **values)
            if done == step:
                event()

        train_log.report = report
        work()

    return with_event


@dataclass
class Attempts:
    """Trainings, each in a child of its own; ``results`` has the status and the words of all, by name."""

    place: Path
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def make(self, name: str, work: Work, kill_after: float | None = None) -> None:
        """Run ``work`` anew; killed so many seconds after its first step began, if it is to be killed."""
        for left in (self.place / name, self.place / f"{name}.work"):
            shutil.rmtree(left, ignore_errors=True)
        log = self.place / f"{name}.log"
        status = self.forked(work, log, kill_after)
        self.results.setdefault(name, []).append({"status": status, "said": log.read_text()})

    def forked(self, work: Work, log: Path, kill_after: float | None = None) -> int:
        """Do ``work`` in a child whose words go to ``log``; returns its status."""
        log.write_text("")
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            be_child(work, log)
        if kill_after is not None:
            while BEGUN not in log.read_text():
                time.sleep(0.001)
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def be_child(work: Work, log: Path) -> None:
    """Do ``work`` and end."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    status = 1
    try:
        work()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        if status == 1:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
