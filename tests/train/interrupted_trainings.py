"""One process that trains the tiny model repeatedly and interrupts it; run by the fixture ``trainings``.

NeMo is imported once: each training is a forked child, which starts as a fresh process would.
"""

import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEPS = 16
KILLS = 8
TEXT = "always @(posedge clk) data <= address; "
PROGRESS = re.compile(rf"^(\d+)/{STEPS}  loss", flags=re.MULTILINE)
"""Progress, which is printed after every step, with its number."""
SECONDS_TO_START = 300.0

Work = Callable[[], None]
Kill = tuple[int, float]
"""A step that a training reports, and the seconds after it at which it is killed."""


def main(folder: Path) -> None:
    """Train without interruption, then with stops and kills; write what happened to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.config.dapt import Dapt
    from tapeout.config.sft import Sft
    from tapeout.encoder.load import load_encoder
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.train.launch import single_rank
    from tapeout.train.method import load_method
    from tapeout.train.trainer import train
    from tests.nemo.tiny_model import instruction_set, tiny_model

    base, attempts = folder / "base", Attempts(folder)
    source = tiny_model(folder / "source")
    attempts.fork(lambda: import_checkpoint(source, base, folder), folder / "import.log")
    tokenizer = tokenizer_path(base)
    texts = {name: folder / f"{name}.jsonl" for name in ("domain", "general")}
    for path in texts.values():
        path.write_text(json.dumps({"text": TEXT * 40}) + "\n")
    encoded = {"encoded": [instruction_set(folder, load_encoder(tokenizer))[1]]}
    common: dict[str, Any] = {
        "max_steps": STEPS,
        "warmup_steps": 2,
        "seq_length": 64,
        "global_batch_size": 4,
        "micro_batch_size": 2,
        "threads": 1,
    }
    dapt_job, sft_job = Dapt(**common, lr=0.02), Sft(**common, val_check_interval=5)
    (folder / "sft.json").write_text(sft_job.model_dump_json())

    def training(name: str, method_name: str, job: Any, inputs: dict[str, Any]) -> Work:
        method = load_method(method_name)
        data = method.data(job, tokenizer, inputs, single_rank(folder / f"{name}.data").once)

        def work() -> None:
            rank = single_rank(folder / f"{name}.work")
            rank.stop.listen()
            log = train(base, data, job, method, folder / name, rank)
            (folder / name / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")

        return work

    def dapt(name: str, job: Dapt = dapt_job) -> Work:
        return training(name, "dapt", job, texts)

    def sft(name: str) -> Work:
        return training(name, "sft", sft_job, encoded)

    attempts.run("dapt", dapt("dapt"))
    attempts.run("sft", sft("sft"))

    stop = folder / "stop"
    os.environ["TAPEOUT_STOP"] = str(stop)
    for name, work in (("dapt stopped", dapt("dapt stopped")), ("sft stopped", sft("sft stopped"))):
        use_checkpoints(folder / f"{name}.checkpoints", seconds=1800)
        attempts.run(name, at_step(3, stop.touch, work))
        attempts.run(name, work)
        stop.unlink()
        attempts.run(name, at_step(9, lambda: os.kill(os.getpid(), signal.SIGTERM), work))
        attempts.run(name, work)

    # a checkpoint at every step, so that a kill is likely to interrupt the writing of one
    use_checkpoints(folder / "killed.checkpoints", seconds=0)
    draw = random.Random(7)
    killed = dapt("killed")
    for kill in kills(KILLS, draw):
        attempts.run("killed", killed, kill)
    attempts.run("killed", killed)

    shutil.copytree(folder / "killed.checkpoints", folder / "damaged.checkpoints")
    part = folder / "damaged.checkpoints" / f"step-{STEPS - 1}" / "part-0.pt"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    use_checkpoints(folder / "damaged.checkpoints", seconds=1800)
    attempts.run("damaged", dapt("damaged"))
    attempts.run("other job", dapt("other job", dapt_job.model_copy(update={"lr": 0.01})))
    (folder / "results.json").write_text(json.dumps(attempts.results))


def use_checkpoints(folder: Path, seconds: float) -> None:
    """Write checkpoints to ``folder`` from now on, every ``seconds``, and metrics to a file beside it."""
    folder.mkdir(exist_ok=True)
    os.environ |= {"TAPEOUT_STATE": str(folder), "TAPEOUT_CHECKPOINT_SECONDS": str(seconds)}
    os.environ["TAPEOUT_METRICS"] = str(folder.with_suffix(".metrics"))


def at_step(step: int, event: Callable[[], None], work: Work) -> Work:
    """Return ``work`` with an event that happens in the given step."""
    from tapeout.train import train_log

    def with_event() -> None:
        original = train_log.report

        def report(done: int, total: int, **values: float | str) -> None:
            original(done, total, **values)
            if done == step:
                event()

        train_log.report = report
        work()

    return with_event


@dataclass
class Attempts:
    """Trainings, each in its own child process.

    Attributes:
        folder: folder of all trainings.
        results: status and output of each attempt, by training.
    """

    folder: Path
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def run(self, name: str, work: Work, kill: Kill | None = None) -> None:
        """Run ``work`` from the start, and kill it if a time is given."""
        for left in (self.folder / name, self.folder / f"{name}.work"):
            shutil.rmtree(left, ignore_errors=True)
        log = self.folder / f"{name}.log"
        status = self.fork(work, log, kill)
        self.results.setdefault(name, []).append({"status": status, "output": log.read_text()})

    def fork(self, work: Work, log: Path, kill: Kill | None = None) -> int:
        """Run ``work`` in a child process whose output goes to ``log``; return its status."""
        log.write_text("")
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            run_child(work, log)
        if kill is not None:
            await_kill(pid, log, kill)
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kills(count: int, draw: random.Random) -> list[Kill]:
    """Return when to kill a training ``count`` times: so early that it never ends before, on a machine of any speed."""
    return [(1 + number * STEPS // (2 * count), draw.uniform(0, 0.05)) for number in range(count)]


def await_kill(pid: int, log: Path, kill: Kill) -> None:
    """Wait until a process has reported a step, which may be its first one, and for some time after that.

    Raises:
        RuntimeError: it has ended.
        TimeoutError: it reports no such step.
    """
    step, seconds = kill
    deadline = time.monotonic() + SECONDS_TO_START
    while not any(int(number) >= step for number in PROGRESS.findall(log.read_text())):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise RuntimeError(log.read_text())
        if time.monotonic() > deadline:
            raise TimeoutError(f"{log} does not show step {step} after {SECONDS_TO_START:.0f} s")
        time.sleep(0.001)
    time.sleep(seconds)


def last_checkpoint(outputs: Sequence[str]) -> int:
    """Check that each attempt begins where the one before it had saved; return the step of the last checkpoint."""
    saved = 0
    for output in outputs:
        resumed = re.search(r"^resuming from step (\d+)", output, flags=re.MULTILINE)
        start = int(resumed[1]) if resumed else 0
        assert start in (saved, saved + 1), "the process may have been killed between a checkpoint and its message"
        steps = re.findall(r"^checkpoint saved at step (\d+)", output, flags=re.MULTILINE)
        saved = max([start, *map(int, steps)])
    return saved


def run_child(work: Work, log: Path) -> None:
    """Run ``work`` and end this process."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    status = 1
    try:
        work()
        status = 0
    except SystemExit as exit_:
        status = int(exit_.code or 0)
    finally:
        if status == 1:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
