"""Start a server of a model on a free port of this machine, and end it with everything that it started.

However the step ends, the server ends with it: a request to stop becomes an exception, and if the step is killed, the
kernel kills the server; processes that the server has started must then notice that themselves, as vLLM's do.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx

from tapeout.errors import TapeoutError

HOST = "127.0.0.1"
SECONDS_TO_START = 300
SECONDS_TO_END = 30
SECONDS_BETWEEN_LOOKS = 0.2
PR_SET_PDEATHSIG = 1
LOG_LINES = 5
"""Lines of a failed server's log in the error."""


class ServerFailed(TapeoutError):
    """A server did not start, did not answer, or did not end."""


@dataclass(frozen=True)
class Server:
    """A kind of server with an OpenAI-compatible interface.

    Attributes:
        module: its program, as ``python -m`` takes it, with the arguments that do not depend on the model.
        arguments: returns further arguments for a model's folder and a port.
        returns_ids: True if it returns the token ids of prompts on request (``return_token_ids``).
    """

    module: tuple[str, ...]
    arguments: Callable[[Path, int], list[str]]
    returns_ids: bool


SERVERS = {
    "transformers": Server(
        ("transformers.cli.transformers", "serve"),
        lambda folder, port: [
            str(folder),
            "--host",
            HOST,
            "--port",
            str(port),
            "--device",
            "cpu",
            "--dtype",
            "float32",
        ],
        returns_ids=False,
    ),
    "vllm": Server(
        ("vllm.entrypoints.openai.api_server",),
        lambda folder, port: [
            *(f"--model={folder}", f"--host={HOST}", f"--port={port}", "--dtype=float32"),
            "--gpu-memory-utilization=0.5",  # of the memory, which other steps need too
        ],
        returns_ids=True,
    ),
}
"""Servers by name. vLLM's program is a module, because its command needs metadata that its CPU wheels lack."""


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        address: its URL, without a slash at the end.
        model: name of the model in requests.
        process: its process, the leader of a process group.
    """

    address: str
    model: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def running(server: Server, folder: Path, scratch: Path) -> Iterator[Running]:
    """Run a server until the block ends.

    It inherits no token and no address of a hub, so that it can only read the folder.

    Args:
        server: the kind of server.
        folder: the exported model.
        scratch: an empty folder for its log and its caches; nothing is written anywhere else.

    Raises:
        ServerFailed: it ends or does not answer before ``SECONDS_TO_START``, or does not end when asked to.
    """
    port, log = free_port(), scratch / "server.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    caches = {name: str(scratch) for name in ("HF_HOME", "HOME", "TMPDIR", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT")}
    # threads that wait for each other would take the cores of other steps
    threads = {"OMP_NUM_THREADS": os.environ.get("TAPEOUT_THREADS", "1"), "OMP_WAIT_POLICY": "passive"}
    variables = {**kept, **caches, **threads, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NO_PROXY": HOST}
    command = [sys.executable, "-P", "-m", *server.module, *server.arguments(folder, port)]
    before, parent = signal.signal(signal.SIGTERM, _end), os.getpid()
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=variables,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),
            )
        try:
            address = f"http://{HOST}:{port}"
            _wait(process, address, log)
            yield Running(address, str(folder), process)
        finally:
            stop(process, log)
    finally:
        signal.signal(signal.SIGTERM, before)
    if process.returncode not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
        raise _failed(f"The server ended with status {process.returncode}", log)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End the step by an exception, so that the server is ended and its folder removed."""
    raise SystemExit(128 + number)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the step ends; called in the child, before it executes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def free_port() -> int:
    """Return a port on which nothing listens; another program may still take it before the server does."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def stop(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Ask a process to end, and kill what is left of its group.

    Raises:
        ServerFailed: it did not end within ``SECONDS_TO_END``.
    """
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        raise _failed(f"The server did not end within {SECONDS_TO_END} seconds", log) from None
    finally:
        with suppress(ProcessLookupError):  # as it should be: nothing of the group is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _failed(f"The server ended with status {process.returncode} before it answered", log)
        with suppress(httpx.TransportError):  # it does not listen yet
            if httpx.get(f"{address}/health", trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(SECONDS_BETWEEN_LOOKS)
    raise _failed(f"The server did not answer within {SECONDS_TO_START} seconds", log)


def _failed(cause: str, log: Path) -> ServerFailed:
    last = " / ".join(log.read_text("utf-8", "replace").split("\n")[-LOG_LINES - 1 : -1])
    return ServerFailed(f"{cause}: {last}.", "Start the same server by hand to see all it prints.")
