"""Start programs such as ``python -m snakemake`` from a process that has already imported their packages.

Most of the time of such a program goes into imports of packages that no test changes, so each process of pytest starts
one Python that imports them once and forks for every program. The program is a process of its own, with the given
folder, variables and output; it imports the modules of the project that it is started in. Programs to which a test
sends signals, and those whose variables concern imports, start in the ordinary way.
"""

import atexit
import gc
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NoReturn

ROOT = str(Path(__file__).parents[1])
COMMANDS = (
    *("snakemake.cli", "snakemake_executor_plugin_slurm", "smart_open"),
    *("typer", "rich.console", "rich.table", "rich.progress", "pydantic", "numpy", "yaml", "jinja2"),
)
"""Packages of Snakemake and of the command line."""
NEMO = ("tests.nemo.imported",)
AT_IMPORT = ("PYTHON", "HOME", "XDG_", "LC_", "LANG", "OPENBLAS_", "OMP_", "FSSPEC_", "SNAKEMAKE_")
"""Prefixes of variables that Python, or a package while it is imported, may read."""
MAX_MESSAGE = 1 << 20


def run_module(
    command: list[str], cwd: Path, env: dict[str, str], timeout: float, packages: tuple[str, ...] = COMMANDS
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE ARGUMENTS`` as ``subprocess.run`` does, and return its status, output and errors.

    Args:
        command: the command.
        cwd: the folder in which it runs.
        env: its environment variables.
        timeout: seconds after which it is killed, and ``subprocess.TimeoutExpired`` raised.
        packages: what the process that starts it has imported.
    """
    if _at_import(env) != _at_import(dict(os.environ)):
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    request = json.dumps({"arguments": command[2:], "cwd": str(cwd), "env": env}).encode()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0) as answers:
            try:
                socket.send_fds(_server(packages), [request], [output.fileno(), errors.fileno(), writer])
            finally:
                os.close(writer)
            pid = int(answers.read(16))
            if not select.select([answers], [], [], timeout)[0]:
                os.kill(pid, 9)
                raise subprocess.TimeoutExpired(command, timeout)
            status = int(answers.read(16))
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess(command, status, *texts)


def _at_import(variables: dict[str, str]) -> dict[str, str]:
    """Return the variables that must have the same values in the server."""
    path = map(Path, variables.get("PYTHONPATH", "").split(":"))
    plain = not any((folder / "sitecustomize.py").exists() for folder in path)
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(AT_IMPORT) and not (plain and name == "PYTHONPATH")
    }


@cache
def _server(packages: tuple[str, ...]) -> socket.socket:
    """Return the connection to this process's server with those packages, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno()), *packages]
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(command, env=variables, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(ours.close)  # runs before process.wait, which would otherwise wait forever
    return ours


def _serve(connection: socket.socket, packages: list[str]) -> list[str]:
    """Fork for every request, and return the arguments in the new process; end when the client does."""
    sys.path[0] = ROOT
    for name in packages:
        __import__(name)
    sys.path.pop(0)
    gc.freeze()  # the programs' collections of garbage need not look at what the packages left
    while True:
        data, files, _, _ = socket.recv_fds(connection, MAX_MESSAGE, 3)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            connection.close()
            break
        for file in files:
            os.close(file)
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    request = json.loads(data)
    output, errors, answers = files
    child = os.fork()
    if child:
        _report(child, answers)
    os.close(answers)
    for number, file in ((1, output), (2, errors)):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    tempfile.tempdir = None  # depends on the variables
    sys.path[:0] = [request["cwd"], *filter(None, request["env"].get("PYTHONPATH", "").split(":"))]
    arguments: list[str] = request["arguments"]
    return arguments


def _report(child: int, answers: int) -> NoReturn:
    """Write the process id of a program and, when it has ended, its status: two fields of 16 bytes."""
    os.write(answers, b"%16d" % child)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(answers, b"%16d" % status)
    os._exit(0)


if __name__ == "__main__":
    sys.argv[:] = _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
