"""Distribute work over processes; results arrive in the order of the work, with any number of processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from tapeout.errors import TapeoutError
from tapeout.program import StepFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_ITEMS = 3
"""Items in progress per process: bounds the memory for any amount of work."""


@dataclass(frozen=True)
class Failure:
    """A ``TapeoutError`` in a form that can be pickled.

    Pickle would call the error's class with its message alone, and fail for classes with other parameters.

    Attributes:
        kind: class of the error.
        arguments: arguments of the exception.
        state: its attributes.
    """

    kind: type[TapeoutError]
    arguments: tuple[Any, ...]
    state: dict[str, Any]

    @property
    def error(self) -> TapeoutError:
        """The error itself."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.state)
        return error


_start_failure: Failure | None = None


def in_order(
    function: Callable[[Item], Result],
    work: Iterable[Item],
    workers: int,
    start: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Yield ``map(function, work)``, computed by ``workers`` processes with a bounded number of items in progress.

    Args:
        function: a module's top-level function; its result must not depend on earlier calls.
        work: the items; this process reads them as they are needed.
        workers: number of processes; with one, everything runs in this process.
        start: called once in each process before its first item.

    Raises:
        TapeoutError: any that ``function`` or ``start`` raises, in any process.
        StepFailed: a process was terminated from outside.
    """
    if workers <= 1:
        if start is not None:
            start()
        yield from map(function, work)
        return
    context = get_context("spawn")  # forked children inherit the locks of the threads of loaded libraries
    items = iter(work)
    guarded = partial(_call, function)
    try:
        with ProcessPoolExecutor(workers, context, partial(_begin, start)) as pool:
            queue: deque[Future[Result | Failure]] = deque(
                pool.submit(guarded, item) for item in islice(items, QUEUED_ITEMS * workers)
            )
            while queue:
                result = queue.popleft().result()
                if isinstance(result, Failure):
                    raise result.error
                for item in islice(items, 1):
                    queue.append(pool.submit(guarded, item))
                yield result
    except BrokenProcessPool as error:
        raise process_lost() from error


def process_lost() -> StepFailed:
    """Return the error for a worker process that was terminated from outside."""
    return StepFailed(
        "A worker process of this step was terminated, perhaps because the memory was exhausted.",
        "Run again; if it happens again, give the step more memory or fewer threads.",
    )


def _begin(start: Callable[[], None] | None) -> None:
    global _start_failure
    try:
        if start is not None:
            start()
    except TapeoutError as error:
        _start_failure = Failure(type(error), error.args, error.__dict__)


def _call(function: Callable[[Item], Result], item: Item) -> Result | Failure:
    if _start_failure is not None:
        return _start_failure
    try:
        return function(item)
    except TapeoutError as error:
        return Failure(type(error), error.args, error.__dict__)
