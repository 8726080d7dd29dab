"""HTTP connections with limits: their number, the time of a request's head, unread data; errors in OpenAI's form."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

import h11
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from tapeout.serve.errors import RequestFailed
from tapeout.serve.exchange import LINGER_SECONDS, MAX_HEAD
from tapeout.serve.turns import stopping

MAX_CONNECTIONS = 256
HEAD_SECONDS = 10.0
"""Seconds from the beginning of a connection, or the first byte of a later request, to the end of its head."""
MAX_UNREAD = 64 * 1024
"""Bytes of further requests that a connection may have sent before no more is read: they wait for the response."""
ENDING_SECONDS = 0.5
"""Seconds in which a client gets to read that the server ends."""
PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class BoundedFlow(FlowControl):  # type: ignore[misc]
    """Flow control that reads no more from a client as long as enough of it waits for its turn."""

    def __init__(self, transport: asyncio.Transport, connection: h11.Connection) -> None:
        super().__init__(transport)
        self.connection = connection

    def resume_reading(self) -> None:
        """Read on, unless much is unread: uvicorn would read more with each request that it begins."""
        if len(self.connection.trailing_data[0]) <= MAX_UNREAD:
            super().resume_reading()


class LimitedProtocol(H11Protocol):  # type: ignore[misc]
    """A connection to an ``Api`` that may not stay without a complete request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        self.flow = BoundedFlow(transport, self.conn)
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
            if not self.cycle.more_body and not self._ended:
                self.flow.resume_reading()  # to notice that the client goes
        else:
            self._expect_head()

    def on_response_complete(self) -> None:
        """Begin the next request of the connection, and read on if little is left after it."""
        super().on_response_complete()
        if not self._ended and not self.transport.is_closing():
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close the connection, after its response if the request is complete."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            super().shutdown()
            return
        cycle.disconnected = True  # nobody waits for the rest of the body
        cycle.message_event.set()
        if cycle.response_started:
            self.transport.close()
        else:
            self._end(stopping(), ENDING_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not a request of HTTP; called while the error is handled."""
        if getattr(sys.exception(), "error_status_hint", 400) == 431:
            self._end(RequestFailed(f"The head of the request has more than {MAX_HEAD:,} bytes.", status=431))
        else:
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

    def _end(self, error: RequestFailed, seconds: float = LINGER_SECONDS) -> None:
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
        with suppress(OSError):  # the client has gone
            self.transport.write_eof()
        self._stop_timer()  # what else comes is thrown away: if it were left unread, the client might not get the error
        self._timer = self.loop.call_later(seconds, self.transport.abort)
        self.app.log.failure(error)
