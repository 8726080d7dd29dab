"""Wrapper of sbatch that waits while the controller is unavailable, and never submits a job twice.

Controllers are restarted and overloaded every now and then, but the executor gives a job up at the first failure of
sbatch. This program precedes sbatch on the PATH of a run (``tapeout/slurm/bin``) and calls the real one.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tapeout.slurm.client import CONTROLLER_AWAY, known_jobs

BIN = Path(__file__).with_name("bin")
PATIENCE = "TAPEOUT_SUBMIT_SECONDS"
"""Environment variable: seconds to wait for the controller."""
DRIVER = "TAPEOUT_DRIVER"
"""Environment variable: process id of the run. If that is gone, nothing is submitted: no run would know of the job."""
SECONDS_BETWEEN = 5.0
TIMEOUT = 120
"""Seconds that sbatch may take; its own limit for an answer of the controller is usually 10 to 60."""


def real_sbatch() -> str | None:
    """Return the path of the cluster's own sbatch: the first on PATH outside ``BIN``."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and Path(folder) != BIN]
    return shutil.which("sbatch", path=os.pathsep.join(folders))


def submit(arguments: list[str], text: bytes, patience: float) -> tuple[int, bytes, bytes]:
    """Submit a job once the controller answers.

    The controller may have accepted a job although its answer was lost. After a failure the job is therefore submitted
    again only if the controller reports that it does not know the job.

    Returns:
        Exit status, output and error output of sbatch.
    """
    program = real_sbatch()
    if program is None:
        return 127, b"", b"sbatch: not found\n"
    end = time.monotonic() + patience
    while True:
        if not _run_exists():
            return 1, b"", b"the run that requested this job has ended\n"
        done = _run([program, *arguments], text)
        if not done.returncode or not CONTROLLER_AWAY.search(done.stderr.decode(errors="replace")):
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


def _run(command: list[str], text: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Run sbatch; if it does not end, as when the controller is away, kill it and return the message of that."""
    try:
        return subprocess.run(command, input=text, capture_output=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, b"", f"sbatch did not answer within {TIMEOUT} s\n".encode())


def _run_exists() -> bool:
    """Return whether the run that requests the job is alive; True if the environment does not name it."""
    driver = os.environ.get(DRIVER)
    return driver is None or Path("/proc", driver).exists()


def _value(arguments: list[str], option: str) -> str | None:
    return arguments[arguments.index(option) + 1] if option in arguments[:-1] else None


def main() -> None:
    """Behave like sbatch: same arguments, input, output and exit status."""
    text = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    status, out, err = submit(sys.argv[1:], text, float(os.environ.get(PATIENCE, "0")))
    sys.stdout.buffer.write(out)
    sys.stderr.buffer.write(err)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
