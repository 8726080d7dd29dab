"""Work shared out over processes; the results come in the order of the work, so that their number changes nothing."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

AHEAD = 3
"""Pieces of work for each process that are under way: bounds the memory, whatever the length of the work."""


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
    """
    if workers <= 1:
        if start is not None:
            start()
        yield from map(function, work)
        return
    # forked children inherit the threads' locks of libraries that are loaded here
    context = get_context("fork" if forked else "spawn")
    pieces = iter(work)
    with ProcessPoolExecutor(workers, context, start) as pool:
        under_way: deque[Future[Made]] = deque(
            pool.submit(function, piece) for piece in islice(pieces, AHEAD * workers)
        )
        while under_way:
            made = under_way.popleft().result()
            for piece in islice(pieces, 1):
                under_way.append(pool.submit(function, piece))
            yield made
