"""A request of HTTP and its response: bodies of limited size and time, JSON, streams, and clients that go away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

from tapeout.serve.bodies import Bodies, Reservation
from tapeout.serve.errors import RequestFailed
from tapeout.serve.turns import Disconnected

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

MAX_HEAD = 16 * 1024
"""Bytes of a request's head."""
MAX_BODY = 1 << 20
"""Bytes of a request's body."""
BODY_SECONDS = 20.0
"""Seconds in which a body must be complete."""
SEND_SECONDS = 30.0
"""Seconds in which a client must take some of the response."""
LINGER_BYTES, LINGER_SECONDS = 8 * MAX_BODY, 2.0
"""How much of a refused body is read and thrown away, so that its client gets to read the response."""


class Exchange:
    """A request and its response.

    Attributes:
        gone: set when the client has closed the connection.
        status: status of the response; None before it begins.
        note: end of the line in the log.
        reserved: memory for the body.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, bodies: Bodies) -> None:
        self.reserved = Reservation(bodies)
        self.scope, self.gone = scope, asyncio.Event()
        self.status: int | None = None
        self.note = ""
        self._receive, self._send = receive, send
        self._read = False
        self._streaming = False
        self.headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}

    def check_head(self) -> None:
        """Refuse a head that is too long; the connection refuses one that did not come at once."""
        if sum(len(name) + len(value) for name, value in self.scope["headers"]) > MAX_HEAD:
            raise RequestFailed(f"The head of the request has more than {MAX_HEAD:,} bytes.", status=431)

    # -- request -------------------------------------------------------------------------------------------------------

    async def body(self) -> bytes:
        """Return the body of the request.

        Raises:
            RequestFailed: it is not declared as JSON, has more than ``MAX_BODY`` bytes or takes too long, or other
                bodies take the memory.
            Disconnected: the client went.
        """
        if self.headers.get(b"content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestFailed(
                "The body is not declared as JSON.", "Send the header Content-Type: application/json.", status=415
            )
        if self.headers.get(b"content-encoding", "identity") != "identity":
            raise RequestFailed("The body is compressed.", "Send it as plain JSON.", status=415)
        length = self.headers.get(b"content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY:
            raise _too_large()
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while not self._read:
                    part = await self._next_part()
                    size += len(part)
                    if size > MAX_BODY:
                        raise _too_large()
                    self.reserved.extend(size)
                    parts.append(part)
        except TimeoutError:
            raise RequestFailed(
                f"The body was not complete within {BODY_SECONDS:.0f} seconds.", "Send it at once.", status=408
            ) from None
        return b"".join(parts)

    async def _next_part(self) -> bytes:
        event = await self._receive()
        if event["type"] == "http.disconnect":
            self.gone.set()
            raise Disconnected
        self._read = not event.get("more_body", False)
        part: bytes = event.get("body", b"")
        return part

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Set ``gone`` as soon as the client closes the connection, while the context is active; after ``body``."""

        async def watch() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.gone.set()

        task = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # -- response ------------------------------------------------------------------------------------------------------

    async def send(self, event: Event) -> None:
        """Send an event of a response.

        Raises:
            Disconnected: the client takes nothing.
        """
        if event["type"] == "http.response.start":
            self.status = event["status"]
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._send(event)
        except TimeoutError:
            self.gone.set()
            raise Disconnected from None

    async def send_json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send a complete response; the connection ends after it if the request was not read completely."""
        data = orjson.dumps(value)
        unread = not self._read and (b"content-length" in self.headers or b"transfer-encoding" in self.headers)
        unread = unread and self.headers.get(b"content-length") != "0"
        fields = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
        fields |= {"Connection": "close"} if unread else {}
        await self._start(status, fields)
        await self.send({"type": "http.response.body", "body": data, "more_body": unread})
        if unread:
            if b"expect" not in self.headers:
                await self._linger()
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send_event(self, value: Any) -> None:
        """Send an event of a stream, which begins with the first."""
        if not self._streaming:
            await self._start(200, {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"})
            self._streaming = True
        data = value.encode() if isinstance(value, str) else orjson.dumps(value)
        await self.send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})

    async def end_stream(self) -> None:
        """Complete a stream."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, error: RequestFailed) -> None:
        """Send an error, as the last event of a stream if there is one."""
        if self._streaming:
            self.note = f"{self.note}, {error.code}"
            await self.send_event(error.value())
            await self.end_stream()
        elif self.status is None:
            await self.send_json(error.value(), error.status, error.headers)

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _linger(self) -> None:
        size = 0
        with suppress(TimeoutError, Disconnected):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._read and size < LINGER_BYTES:
                    size += len(await self._next_part())


def _too_large() -> RequestFailed:
    return RequestFailed(
        f"The body has more than {MAX_BODY:,} bytes.", "Send a shorter prompt.", status=413, code="body_too_large"
    )
