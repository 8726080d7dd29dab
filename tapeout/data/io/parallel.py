"""Work shared out over processes; the results come in the order of the work, so that their number changes nothing."""

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

Given = TypeVar("Given")
Made = TypeVar("Made")

AHEAD = 3
"""Pieces of work for each process that are under way: bounds the memory, whatever the length of the work."""


class ProcessLost(TapeoutError):
    """A process that shared in the work was ended from outside."""

    def __init__(self) -> None:
        super().__init__(
            "A process of this step ended in the middle of its work, perhaps because the memory was used up.",
            "Run again; give the step more memory or fewer threads if it happens again.",
        )


@dataclass(frozen=True)
class Failure:
    """A named error on its way out of a process: pickle would call its class with its words alone, and fail.

    Attributes:
        kind: the class.
        words: what the exception was made with.
        state: its attributes.
    """

    kind: type[TapeoutError]
    words: tuple[Any, ...]
    state: dict[str, Any]

    @property
    def error(self) -> TapeoutError:
        """The error itself."""
        error = self.kind.__new__(self.kind, *self.words)
        error.__dict__.update(self.state)
        return error


_failed: Failure | None = None


def in_order(
    function: Callable[[Given], Made],
    work: Iterable[Given],
    workers: int,
    start: Callable[[], None] | None = None,
    forked: bool = False,
) -> Iterator[Made]:
    """``map(function, work)`` over ``workers`` processes, with a bounded number of pieces under way.

    Args:
        function: of a module's top level; it must not depend on what it was called with before.
        work: is read by this process, as it is needed.
        workers: processes; one does without any other.
        start: called once in each process before its first piece.
        forked: the processes are copies of this one, which are there at once; only where no thread runs here, and
            ``function`` calls no library that has threads of its own.

    Raises:
        TapeoutError: what ``function`` or ``start`` raises, whichever process it was in.
        ProcessLost: a process ended from outside.
    """
    if workers <= 1:
        if start is not None:
            start()
        yield from map(function, work)
        return
    # forked children inherit the threads' locks of libraries that are loaded here
    context = get_context("fork" if forked else "spawn")
    pieces = iter(work)
    guarded = partial(_made, function)
    try:
        with ProcessPoolExecutor(workers, context, partial(_begin, start)) as pool:
            under_way: deque[Future[Made | Failure]] = deque(
                pool.submit(guarded, piece) for piece in islice(pieces, AHEAD * workers)
            )
            while under_way:
                made = under_way.popleft().result()
                if isinstance(made, Failure):
                    raise made.error
                for piece in islice(pieces, 1):
                    under_way.append(pool.submit(guarded, piece))
                yield made
    except BrokenProcessPool as error:
        raise ProcessLost from error


def _begin(start: Callable[[], None] | None) -> None:
    global _failed
    try:
        if start is not None:
            start()
    except TapeoutError as error:
        _failed = Failure(type(error), error.args, error.__dict__)


def _made(function: Callable[[Given], Made], piece: Given) -> Made | Failure:
    if _failed is not None:
        return _failed
    try:
        return function(piece)
    except TapeoutError as error:
        return Failure(type(error), error.args, error.__dict__)
