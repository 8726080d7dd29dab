"""sbatch that waits for a controller that is away, and never submits a job twice.

The executor gives a job up at the first failure of sbatch, although controllers are restarted and overloaded every now
and then. This program stands before sbatch on the PATH of a run (``tapeout/slurm/bin``) and calls the real one.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tapeout.slurm.client import SlurmUnavailable, live_jobs

BIN = Path(__file__).with_name("bin")
AWAY = re.compile(
    "unable to contact|connection refused|connect failure|socket timed out|zero bytes|temporarily unable|"
    "unexpected message received|connection timed out|controller is in standby",
    re.IGNORECASE,
)
"""What sbatch says when the controller is away, restarting or overloaded."""
PATIENCE = "TAPEOUT_SUBMIT_SECONDS"
"""Variable: how long to wait for the controller."""
SECONDS_BETWEEN = 5.0


def real_sbatch() -> str | None:
    """The cluster's own sbatch: the first on PATH that is not ours."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and Path(folder) != BIN]
    return shutil.which("sbatch", path=os.pathsep.join(folders))


def submit(arguments: list[str], text: bytes, patience: float) -> tuple[int, bytes, bytes]:
    """Submit once the controller answers; status, output and error output of sbatch.

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
        done = subprocess.run([program, *arguments], input=text, capture_output=True)
        if not done.returncode or not AWAY.search(done.stderr.decode(errors="replace")) or time.monotonic() > end:
            return done.returncode, done.stdout, done.stderr
        time.sleep(SECONDS_BETWEEN)
        known = _submitted_after_all(arguments)
        if known is not None:
            return 0, f"{known}\n".encode(), b""


def _submitted_after_all(arguments: list[str]) -> str | None:
    """The number of the job if the controller took it although the answer got lost."""
    name, comment = _value(arguments, "--job-name"), _value(arguments, "--comment")
    folder = _value(arguments, "-D") or str(Path.cwd())
    try:
        jobs = live_jobs(folder)
    except SlurmUnavailable:
        return None
    return next((job.id for job in jobs if (job.name, job.comment) == (name, comment)), None)


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
