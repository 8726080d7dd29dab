"""Process items in a child process, so that an item that crashes it is reported and the step continues.

A stack overflow in a C++ library ends the process, and Python cannot catch it. The stack of the child process has a
fixed size, so that the result does not depend on the limits of the machine.
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
"""CPU time limit per item, far above the time of ordinary files; it only ends processing that does not terminate."""


@dataclass(frozen=True)
class Refusal:
    """Result for an item that could not be processed; ``reason`` completes the phrase "a file that ..."."""

    reason: str


def isolated(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result | Refusal]:
    """Yield ``map(function, items)``, with a ``Refusal`` for each item that crashes the process or exceeds a limit.

    Args:
        function: may return a ``Refusal``; must not use a library that has started threads in this process, because
            threads do not survive the fork.
        items: the items, read one at a time.

    Raises:
        StepFailed: a signal from outside killed the child process.
        RuntimeError: the function raised an exception other than RecursionError and MemoryError.
    """
    context = get_context("fork")  # "spawn" would import everything again
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
            if isinstance(result, Refusal):  # start afresh: memory that this item still holds would count for the next
                connection.close()
                process.join()
                process, connection = None, None
            yield result
    finally:
        if process is not None and connection is not None:
            connection.close()
            process.join()


def _cause(exit_code: int | None) -> Refusal:
    if exit_code == 0:  # an exception ended the thread, which printed the traceback
        raise RuntimeError("The function raised an exception in its process; see the traceback above.")
    if exit_code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        raise process_lost()
    if exit_code == -signal.SIGXCPU:
        return Refusal("takes too long")
    return Refusal("exhausts memory or stack")


def _serve(function: Callable[[Any], Any], connection: Connection, other_end: Connection) -> None:
    """Answer each item with its result until the other end is closed, in a thread with a large stack."""
    other_end.close()  # an inherited copy would keep the pipe open, and recv would never see its end
    faulthandler.disable()  # a crash is expected, and reported as a Refusal
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
