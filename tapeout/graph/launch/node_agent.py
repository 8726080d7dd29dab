"""Program that runs on each node of a job: checks the node, or starts the step's program there.

It is run by path, with the Python of the host or of an image, which may be old. It therefore uses only the standard
library and imports nothing of the project. It has three modes:

- ``check`` prints one line about this node: whether it sees the project and has the GPUs.
- ``apptainer -- COMMAND`` passes this task's Slurm variables into the container that COMMAND starts.
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
"""Exit status of a program that has saved a checkpoint and can be resumed."""
CODE = "TAPEOUT_CODE"
"""Environment variable: the project's folder, which precedes the image's own modules on the program's module path."""
HOME = "home"
"""Folder in the program's temporary folder that is its home: no access to the user's, but a place for caches."""
USER = "tapeout"
"""Name of the program's user; libraries ask for one, and not every uid has one."""
INTO_APPTAINER = "APPTAINERENV_"
TASK_VARIABLES = ("SLURM_", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES")
MARK = "@node "
SECONDS_BETWEEN_CHECKS = 0.5


def check(action: str, digest: str, gpus: int, seconds: float) -> dict[str, object]:
    """Check this node.

    Args:
        action: path of the action file in the project's folder.
        digest: expected SHA-256 of the file; a shared file system may show it late.
        gpus: number of GPUs that the program needs here.
        seconds: how long to wait for the file.

    Returns:
        ``name`` and ``number`` of the node in the step, and its ``fault`` (empty if there is none).
    """
    end = time.monotonic() + seconds
    fault = _file_fault(action, digest)
    while fault and time.monotonic() < end:
        time.sleep(SECONDS_BETWEEN_CHECKS)
        fault = _file_fault(action, digest)
    return {
        "name": _node_name(),
        "number": int(os.environ.get("SLURM_NODEID", "0")),
        "fault": fault or _gpu_fault(gpus),
    }


def _node_name() -> str:
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def _file_fault(action: str, digest: str) -> str:
    try:
        actual = hashlib.sha256(Path(action).read_bytes().rstrip(b"\n")).hexdigest()
    except OSError as error:
        return f"does not see the project: {error}"
    return "" if actual == digest else f"sees another {action} than this run wrote"


def _gpu_fault(gpus: int) -> str:
    if not gpus:
        return ""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return f"has no nvidia-smi, and {gpus} GPUs are required"
    done = subprocess.run([tool, "-L"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    listed = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    if done.returncode or len(listed) < gpus:
        output = f" (nvidia-smi: {done.stdout.strip()[-200:]})" if done.returncode else ""
        return f"shows {len(listed)} of {gpus} GPUs{output}"
    return ""


def exec_apptainer(command: list[str]) -> None:
    """Replace this process by ``command``, with this task's Slurm variables under names that apptainer passes on."""
    for name, value in list(os.environ.items()):
        if name.startswith(TASK_VARIABLES):
            os.environ[INTO_APPTAINER + name] = value
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        message = f"CannotStart: There is no {command[0]} on node {_node_name()}.\n  fix: Install it there."
        print(message, file=sys.stderr)
        sys.exit(127)


def start(command: list[str], stopped: str) -> int:
    """Run the program with its own temporary folder and an empty home, and return its exit status.

    Args:
        command: the program.
        stopped: file to create if the program ends with ``STOPPED``. The status is then 0, because srun reacts to any
            other by killing the other nodes, which may still be writing their checkpoints. Empty: no file, and the
            status is passed on unchanged.
    """
    variables = dict(os.environ)
    if CODE in variables:
        paths = [variables.pop(CODE), variables.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    own = Path(variables["TMPDIR"]) / variables.get("SLURM_NODEID", "0")
    (own / HOME).mkdir(parents=True, exist_ok=True)
    # a short path to a folder with enough space: paths of sockets are limited to 108 characters
    short = Path(tempfile.mkdtemp(prefix="tapeout-", dir="/tmp"))
    try:
        (short / "t").symlink_to(own)
        variables.update(TMPDIR=str(short / "t"), HOME=str(short / "t" / HOME), USER=USER)
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
    """Parse the command line, whose command follows ``--``, and run the mode that it names."""
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("check", "apptainer", "start"))
    parser.add_argument("--stopped", default="")
    parser.add_argument("--action", default="")
    parser.add_argument("--digest", default="")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    options, command = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    if options.mode == "check":
        result = check(options.action, options.digest, options.gpus, options.seconds)
        print(MARK + json.dumps(result, sort_keys=True), flush=True)
        return 0
    if options.mode == "apptainer":
        exec_apptainer(command)
    return start(command, options.stopped)


if __name__ == "__main__":
    sys.exit(main())
