"""The log of a server: a line per request, without its text."""

import sys
import time

from tapeout.serve.errors import RequestFailed
from tapeout.serve.exchange import Exchange
from tapeout.streams import write_error

PATH_LENGTH, METHOD_LENGTH = 100, 20


class RequestLog:
    """Lines on the standard error."""

    def request(self, exchange: Exchange, seconds: float) -> None:
        """Print the line of a request that has ended."""
        scope, note = exchange.scope, f" {exchange.note}" if exchange.note else ""
        path = "".join(char if char.isprintable() else "?" for char in scope["path"][:PATH_LENGTH])
        self._print(f"{scope['method'][:METHOD_LENGTH]} {path} {exchange.status or '-'}{note} {seconds:.2f} s")

    def failure(self, error: RequestFailed) -> None:
        """Print the line of a connection that had no complete request."""
        self._print(f"- - {error.status} {error.cause}")

    def _print(self, text: str) -> None:
        write_error(f"{time.strftime('%H:%M:%S')} {text}")
        sys.stderr.flush()
