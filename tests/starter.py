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
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

ROOT = str(Path(__file__).parents[1])
COMMANDS = (
    *("snakemake.cli", "snakemake_executor_plugin_slurm", "smart_open"),
    *("typer", "rich.console", "rich.table", "rich.progress", "pydantic", "numpy", "yaml", "jinja2"),
)
"""Packages of Snakemake and of the command line."""
NEMO = ("tests.nemo.imported",)
FORWARD = """
def forward(name: str, request: dict[str, object]) -> None:
    import json
    import os
    import signal
    import socket
    import sys
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect("\\0" + name)
        request = {**request, "cwd": os.getcwd(), "env": dict(os.environ)}
        socket.send_fds(server, [json.dumps(request).encode()], [1, 2, writer])
    os.close(writer)
    child = int(os.read(reader, 16))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _: os.kill(child, number))
    status = int(os.read(reader, 16))
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
"""
"""Function of a program that a server of ``listen`` shall run instead; it ends with the status of that process."""
AT_IMPORT = ("PYTHON", "HOME", "XDG_", "LC_", "LANG", "OPENBLAS_", "OMP_", "FSSPEC_", "SNAKEMAKE_")
"""Prefixes of variables that Python, or a package while it is imported, may read."""
MAX_MESSAGE = 1 << 20


def run_module(
    command: list[str],
    cwd: Path,
    env: dict[str, str],
    timeout: float,
    packages: tuple[str, ...] = COMMANDS,
    own_server: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE ARGUMENTS`` as ``subprocess.run`` does, and return its status, output and errors.

    Args:
        command: the command.
        cwd: the folder in which it runs.
        env: its environment variables.
        timeout: seconds after which it is killed, and ``subprocess.TimeoutExpired`` raised.
        packages: what the process that starts it has imported.
        own_server: start a server with those of the variables that packages may read, for all commands with the same.
    """
    variables = _at_import(env)
    if variables == _at_import(dict(os.environ)):
        own_variables = None
    elif own_server:
        own_variables = tuple(sorted(variables.items()))
    else:
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    request = json.dumps({"arguments": command[2:], "cwd": str(cwd), "env": env}).encode()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0) as answers:
            try:
                server = _server(packages, sys.executable, own_variables)
                socket.send_fds(server, [request], [output.fileno(), errors.fileno(), writer])
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
def _server(
    packages: tuple[str, ...], python: str = sys.executable, env: tuple[tuple[str, str], ...] | None = None
) -> socket.socket:
    """Return the connection to this process's server with those packages, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [python, __file__, str(theirs.fileno()), *packages]
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        variables = inherited if env is None else dict(env)
        process = subprocess.Popen(command, env=variables, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(ours.close)  # runs before process.wait, which would otherwise wait forever
    return ours


def listen(
    packages: tuple[str, ...], name: str, python: str = sys.executable, env: dict[str, str] | None = None
) -> None:
    """Let a server also start programs for other processes, which connect to a socket with that abstract name.

    A client sends what ``run_module`` sends: its request, and the files for output, errors and answers. A program is a
    module or the path of a script. The server's variables are ``env``, or those of this process, with which it ends.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        socket.send_fds(
            _server(packages, python, None if env is None else tuple(env.items())), [b"listen"], [listener.fileno()]
        )


def _requests(connection: socket.socket) -> Iterator[tuple[bytes, list[int]]]:
    """Yield requests with their files, of the client and of those who connect to a listener, until the client ends."""
    sources = [connection]
    while True:
        for source in select.select(sources, [], [])[0]:
            client = connection if source is connection else source.accept()[0]
            data, files, _, _ = socket.recv_fds(client, MAX_MESSAGE, 3)
            if data == b"listen":
                sources.append(socket.socket(fileno=files[0]))
                continue
            if not data and client is connection:
                return
            if client is not connection:
                client.close()
            if data:
                yield data, files


def _serve(connection: socket.socket, packages: list[str]) -> list[str]:
    """Fork for every request, and return the arguments in the new process; end when the client does."""
    sys.path[0] = ROOT
    for name in packages:
        __import__(name)
    sys.path.pop(0)
    gc.freeze()  # the programs' collections of garbage need not look at what the packages left
    gc.set_threshold(100_000)  # they would take a tenth of the time of a short program
    requests = _requests(connection)
    while (request := next(requests, None)) is not None:
        data, (output, errors, answers) = request
        if os.fork() == 0:
            connection.close()
            break
        for file in (output, errors, answers):
            os.close(file)
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    else:
        os._exit(0)
    child = os.fork()
    if child:
        _report(child, answers)
    os.close(answers)
    for number, file in ((1, output), (2, errors)):
        os.dup2(file, number)
        os.close(file)
    program = json.loads(data)
    os.environ.clear()
    os.environ.update(program["env"])
    if "specification" in program:
        program |= _isolate(program)
    os.chdir(program["cwd"])
    tempfile.tempdir = None  # depends on the variables
    own = [] if "specification" in program else [program["cwd"]]
    sys.path[:0] = [*own, *filter(None, program["env"].get("PYTHONPATH", "").split(":"))]
    arguments: list[str] = program["arguments"]
    return arguments


def _isolate(program: dict[str, Any]) -> dict[str, Any]:
    """Isolate this process as a step's; it also sees what it has imported. Return arguments, variables and folder."""
    sandbox = runpy.run_path(f"{ROOT}/tapeout/graph/launch/sandbox.py")
    specification = sandbox["Specification"].read(*program["specification"])
    seen = replace(specification, interpreter=[*specification.interpreter, sys.prefix, f"{ROOT}/tapeout"])
    command, variables = sandbox["prepare"](seen, program["arguments"])
    os.environ.clear()
    os.environ.update(variables)
    return {"arguments": command[1:], "env": variables, "cwd": str(Path.cwd())}


def _report(child: int, answers: int) -> NoReturn:
    """Write the process id of a program and, when it has ended, its status: two fields of 16 bytes."""
    os.write(answers, b"%16d" % child)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(answers, b"%16d" % status)
    os._exit(0)


if __name__ == "__main__":
    sys.argv[:] = _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
