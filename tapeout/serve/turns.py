"""One generation at a time, and a limited number of requests that wait for it in the order in which they came."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tapeout.serve.errors import RequestFailed

MAX_RETRY_SECONDS = 600


class Disconnected(Exception):
    """The client of a request has gone."""


class Turns:
    """Turns of the generation.

    Attributes:
        max_waiting: maximum number of waiting requests.
        waiting: number of waiting requests.
        stopping: set when the server ends; no turn begins then.
        seconds: moving average of the duration of a turn.
    """

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting, self.waiting, self.seconds = max_waiting, 0, 1.0
        self.stopping = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def running(self) -> bool:
        """True while a request has its turn."""
        return self._lock.locked()

    @asynccontextmanager
    async def turn(self, gone: asyncio.Event) -> AsyncIterator[None]:
        """Wait for a turn, and have it while the context is active.

        Args:
            gone: set when the client has gone.

        Raises:
            RequestFailed: too many requests are waiting, or the server ends.
            Disconnected: the client went while it waited.
        """
        if self.running and self.waiting >= self.max_waiting:
            seconds = min(MAX_RETRY_SECONDS, max(1, math.ceil(self.seconds * (self.waiting + 1))))
            raise RequestFailed(
                f"The model answers another request, and {self.waiting} wait.",
                "Try again later.",
                status=503,
                code="busy",
                headers={"Retry-After": str(seconds)},
            )
        self.waiting += 1
        try:
            await self._acquire(gone)
        finally:
            self.waiting -= 1
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds = 0.8 * self.seconds + 0.2 * (time.monotonic() - start)
            self._lock.release()

    async def _acquire(self, gone: asyncio.Event) -> None:
        acquire = asyncio.ensure_future(self._lock.acquire())
        events = [asyncio.ensure_future(event.wait()) for event in (gone, self.stopping)]
        try:
            await asyncio.wait([acquire, *events], return_when=asyncio.FIRST_COMPLETED)
            if gone.is_set():
                raise Disconnected
            if self.stopping.is_set():
                raise stopping()
        except BaseException:
            if not acquire.cancel():
                self._lock.release()
            raise
        finally:
            for task in events:
                task.cancel()


def stopping() -> RequestFailed:
    """Return the error of requests that the end of the server cuts off."""
    return RequestFailed("The server is ending.", "Start it again.", status=503, code="stopping")
