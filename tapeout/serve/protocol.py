"""HTTP connections with limits: their number, the time of a request's head, and errors in OpenAI's form."""

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from tapeout.serve.errors import RequestFailed
from tapeout.serve.exchange import LINGER_SECONDS

MAX_CONNECTIONS = 256
HEAD_SECONDS = 10.0
"""Seconds from the beginning of a connection, or the first byte of a later request, to the end of its head."""
PHRASES = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}


class LimitedProtocol(H11Protocol):  # type: ignore[misc]
    """A connection to an ``Api`` that may not stay without a complete request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._end(RequestFailed("The server has too many connections.", "Try again later.", status=503))
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        if self._ended:
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not a request of HTTP."""
        self._end(RequestFailed(msg.rstrip(".") + ".", "Send HTTP/1.1."))

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Refuse another protocol; never called without a class for it."""
        self._end(RequestFailed("The server has no websockets.", "Use HTTP."))

    def _expect_head(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            error = f"The head of the request was not complete within {HEAD_SECONDS:.0f} seconds."
            self._end(RequestFailed(error, "Send it at once.", status=408))

    def _end(self, error: RequestFailed) -> None:
        """Send an error without regard to the state of the request, and close the connection."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        data = orjson.dumps(error.value())
        head = [
            f"HTTP/1.1 {error.status} {PHRASES[error.status]}",
            "Content-Type: application/json",
            f"Content-Length: {len(data)}",
            "Connection: close",
            *(["Retry-After: 1"] if error.status == 503 else []),
        ]
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        self.transport.write_eof()
        self._stop_timer()  # what else comes is thrown away: if it were left unread, the client might not get the error
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        self.app.log.failure(error)
