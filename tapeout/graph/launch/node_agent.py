"""What runs on each node beside the program: a look at the node before, and the last link to the program.

Run by path with whatever Python is there, the host's or an image's, which may be old; so the standard library alone,
and no import of the project. Three modes:

- ``check`` prints one line about this node: does it see the project, has it the GPUs?
- ``apptainer -- COMMAND`` hands what Slurm tells this task to the container that the command starts.
- ``start -- COMMAND`` runs the program, inside the container if there is one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STOPPED = 75
"""Exit status of a program that has saved its state and wants to go on later."""
CODE = "TAPEOUT_CODE"
"""The project's folder, for the program's module path: before that of the image, which may have one."""
INTO_APPTAINER = "APPTAINERENV_"
OF_TASK = ("SLURM_", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES")
MARK = "@node "
SECONDS_BETWEEN_LOOKS = 0.5


def check(action: str, digest: str, gpus: int, seconds: float) -> dict[str, object]:
    """Look at this node.

    Args:
        action: path of the action file, in the project's folder.
        digest: SHA-256 of what it must hold; a shared file system may show it late.
        gpus: GPUs that the program wants here.
        seconds: how long the file may take to be seen.

    Returns:
        The node's name, its number in the step, and what is wrong with it (nothing: empty).
    """
    end = time.monotonic() + seconds
    fault = _unseen(action, digest)
    while fault and time.monotonic() < end:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        fault = _unseen(action, digest)
    return {
        "name": _name(),
        "number": int(os.environ.get("SLURM_NODEID", "0")),
        "fault": fault or _lacks(gpus),
    }


def _name() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _unseen(action: str, digest: str) -> str:
    try:
        found = hashlib.sha256(Path(action).read_bytes().rstrip(b"\n")).hexdigest()
    except OSError as error:
        return f"does not see the project: {error}"
    return "" if found == digest else f"sees another {action} than this run wrote"


def _lacks(gpus: int) -> str:
    if not gpus:
        return ""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return f"has no nvidia-smi, and {gpus} GPUs are wanted"
    done = subprocess.run([tool, "-L"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    if done.returncode or len(found) < gpus:
        said = f" (nvidia-smi: {done.stdout.strip()[-200:]})" if done.returncode else ""
        return f"shows {len(found)} of {gpus} GPUs{said}"
    return ""


def into_apptainer(command: list[str]) -> None:
    """Become ``command``, with what Slurm has told this task under names that apptainer takes inside."""
    for name, value in list(os.environ.items()):
        if name.startswith(OF_TASK):
            os.environ[INTO_APPTAINER + name] = value
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        print(f"MissingRuntime: There is no {command[0]} on node {_name()}.\n  fix: Install it there.", file=sys.stderr)
        sys.exit(127)


def start(command: list[str], stopped: str) -> int:
    """Run the program in a temporary folder of its own; returns its exit status.

    Args:
        command: the program.
        stopped: a mark to leave if it ends with ``STOPPED``, which then counts as a good end: a bad one would make
            srun kill the other nodes while they still write their state. Empty: the status goes on as it is.
    """
    variables = dict(os.environ)
    if CODE in variables:
        paths = [variables.pop(CODE), variables.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    own = Path(variables["TMPDIR"]) / variables.get("SLURM_NODEID", "0")
    own.mkdir(parents=True, exist_ok=True)
    # a short name for a folder that has room: sockets' paths may have 108 characters
    short = Path(tempfile.mkdtemp(prefix="tapeout-", dir="/tmp"))
    try:
        (short / "t").symlink_to(own)
        variables["TMPDIR"] = str(short / "t")
        if CODE in os.environ:
            variables["HOME"] = variables["TMPDIR"]  # nothing of the user's own in a container, but a place for caches
        status = _run(command, variables)
    finally:
        shutil.rmtree(str(short), ignore_errors=True)
    if status == STOPPED and stopped:
        Path(stopped).touch()
        return 0
    return status


def _run(command: list[str], variables: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=variables)

    def forward(number: int, _: object) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, forward)
    status = process.wait()
    return 128 - status if status < 0 else status


def main() -> int:
    """Parse the command line and do what it says; the command stands behind ``--``."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("check", "apptainer", "start"))
    parser.add_argument("--stopped", default="")
    parser.add_argument("--action", default="")
    parser.add_argument("--digest", default="")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    given, command = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    if given.mode == "check":
        found = check(given.action, given.digest, given.gpus, given.seconds)
        print(MARK + json.dumps(found, sort_keys=True), flush=True)
        return 0
    if given.mode == "apptainer":
        into_apptainer(command)
    return start(command, given.stopped)


if __name__ == "__main__":
    sys.exit(main())
