"""Process items one by one in another process: an item that crashes it or exhausts it is named, and the step continues.

Libraries written in C++ end their process on a stack overflow, and no Python code can catch that. The process has a
stack of fixed size, because otherwise the machine's limits would decide which items can be processed.
"""

import faulthandler
import resource
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from tapeout.data.io.parallel import process_lost

Item = TypeVar("Item")
Result = TypeVar("Result")

STACK_BYTES = 2**28
MEMORY_BYTES = 2**31
CPU_SECONDS = 120
"""Far more than any file of a person takes; the limit only ends what would not end by itself."""


@dataclass(frozen=True)
class Refusal:
    """The result for an item that could not be processed; ``reason`` completes "a file that ..."."""

    reason: str


def isolated(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result | Refusal]:
    """Yield ``map(function, items)``, with a ``Refusal`` for each item that ends its process or exceeds its limits.

    Args:
        function: may return a ``Refusal`` itself, and must call no library that has started threads here.
        items: the items; each is read when it is needed.

    Raises:
        StepFailed: the process was killed from outside.
        RuntimeError: the function raised any other exception.
    """
    context = get_context("fork")  # a new process would import everything again
    process, connection = None, None
    try:
        for item in items:
            if process is None or connection is None:
                connection, end = context.Pipe()
                process = context.Process(target=_serve, args=(function, end, connection), daemon=True)
                process.start()
                end.close()
            try:
                connection.send(item)
                result = connection.recv()
            except (EOFError, ConnectionError):
                process.join()
                result = _cause(process.exitcode)
            if isinstance(result, Refusal):  # what has come near a limit leaves less room to the next item
                connection.close()
                process.join()
                process, connection = None, None
            yield result
    finally:
        if process is not None and connection is not None:
            connection.close()
            process.join()


def _cause(exit_code: int | None) -> Refusal:
    if exit_code == 0:  # an exception has ended the thread; its traceback is printed
        raise RuntimeError("The function raised an exception in its process; see the traceback above.")
    if exit_code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        raise process_lost()
    if exit_code == -signal.SIGXCPU:
        return Refusal("takes too long")
    return Refusal("exhausts memory or stack")


def _serve(function: Callable[[Any], Any], connection: Connection, other_end: Connection) -> None:
    """Answer each item with its result until the other end is closed, in a thread with a large stack."""
    other_end.close()  # else this process would wait for itself
    faulthandler.disable()  # a crash is a result here
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + STACK_BYTES + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (_lower(limit, hard), hard))
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=_answer, args=(function, connection))
    thread.start()
    thread.join()


def _answer(function: Callable[[Any], Any], connection: Connection) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    while True:
        try:
            item = connection.recv()
        except (EOFError, ConnectionError):
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(usage.ru_utime + usage.ru_stime) + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (_lower(limit, hard), hard))
        try:
            connection.send(function(item))
        except RecursionError:
            connection.send(Refusal("is nested too deeply"))
        except MemoryError:
            connection.send(Refusal("exhausts memory or stack"))


def _lower(limit: int, hard: int) -> int:
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)
