"""Measure elapsed time and processor time, including child processes that have ended."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Yield a list that holds both times, in seconds, when the block is done."""
    times: list[float] = []
    started, processor = time.monotonic(), _processor()
    yield times
    times += [time.monotonic() - started, _processor() - processor]
