"""sbatch that waits for a controller that is away, and never submits a job twice.

The executor gives a job up at the first failure of sbatch, although controllers are restarted and overloaded every now
and then. This program stands before sbatch on the PATH of a run (``tapeout/slurm/bin``) and calls the real one.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tapeout.slurm.client import AWAY, known_jobs

BIN = Path(__file__).with_name("bin")
PATIENCE = "TAPEOUT_SUBMIT_SECONDS"
"""Variable: how long to wait for the controller."""
DRIVER = "TAPEOUT_DRIVER"
"""Variable: process of the run; without it nothing may be submitted, because the next run would not know of it."""
SECONDS_BETWEEN = 5.0


def real_sbatch() -> str | None:
    """The cluster's own sbatch: the first on PATH that is not ours."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and Path(folder) != BIN]
    return shutil.which("sbatch", path=os.pathsep.join(folders))


def submit(arguments: list[str], text: bytes, patience: float) -> tuple[int, bytes, bytes]:
    """Submit once the controller answers; status, output and error output of sbatch.

    After a failure nothing is submitted again before the controller has said that it does not have the job: its answer
    may have got lost.

    Args:
        arguments: of sbatch.
        text: what it reads from its input.
        patience: seconds.
    """
    program = real_sbatch()
    if program is None:
        return 127, b"", b"sbatch: not found\n"
    end = time.monotonic() + patience
    while True:
        if not _wanted():
            return 1, b"", b"the run that wanted this job is gone\n"
        done = subprocess.run([program, *arguments], input=text, capture_output=True)
        if not done.returncode or not AWAY.search(done.stderr.decode(errors="replace")):
            return done.returncode, done.stdout, done.stderr
        known = None
        while known is None:
            if time.monotonic() > end:
                return done.returncode, done.stdout, done.stderr
            time.sleep(SECONDS_BETWEEN)
            known = known_jobs(_value(arguments, "--job-name") or "")
        comment = _value(arguments, "--comment")
        for job in (job for job in known.values() if job.comment == comment):
            return 0, f"{job.id}\n".encode(), b""


def _wanted() -> bool:
    """Whether the run that wants the job is still there; always, if nobody said which it is."""
    driver = os.environ.get(DRIVER)
    return driver is None or Path("/proc", driver).exists()


def _value(arguments: list[str], option: str) -> str | None:
    return arguments[arguments.index(option) + 1] if option in arguments[:-1] else None


def main() -> None:
    """As sbatch."""
    text = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    status, out, err = submit(sys.argv[1:], text, float(os.environ.get(PATIENCE, "0")))
    sys.stdout.buffer.write(out)
    sys.stderr.buffer.write(err)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
