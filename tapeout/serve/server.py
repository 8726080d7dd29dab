"""``tapeout serve``: the server's process, from its socket to its last line."""

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from tapeout.config.serving import ServeJob
from tapeout.errors import TapeoutError
from tapeout.serve.api import Api
from tapeout.serve.errors import RequestFailed
from tapeout.serve.exchange import MAX_HEAD, Exchange
from tapeout.serve.model import Model
from tapeout.serve.protocol import LimitedProtocol
from tapeout.streams import write_error

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEEP_ALIVE_SECONDS = 5
SECONDS_TO_END = 5
"""Seconds in which responses must be complete after a signal; the generation ends with its current token."""
PATH_LENGTH = 100


class CannotListen(TapeoutError):
    """The address or port of a server cannot be used."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at an address, which does not accept connections yet.

    Raises:
        CannotListen: the address is not one of this machine, or the port is in use or reserved.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotListen(f"Port {port} at {host} cannot be used: {reason}.", "Name another: --port 0") from error
    return listener


class Server(uvicorn.Server):  # type: ignore[misc]
    """uvicorn's server; a signal ends it with exit status 0, and the generation first."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self.api = api

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and print the address."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        print(f"Serving {self.api.model.name} at {address}")
        print("End it with Ctrl-C. One line per request follows; docs/serving.md explains the endpoints.", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs."""
        loop = asyncio.get_running_loop()
        handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        for number in handled:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # nothing is left to end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the generation and then the server; the second time, at once."""
        self.force_exit: bool = self.should_exit
        self.should_exit: bool = True
        self.api.turns.stopping.set()


def serve(model: Model, job: ServeJob, listener: socket.socket) -> None:
    """Answer requests until a signal comes."""
    api = Api(model, job, log)
    api.warm_up()
    LimitedProtocol.log_failure = staticmethod(log_failure)
    config = uvicorn.Config(
        api,
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SECONDS_TO_END,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
    Server(config, api).run([listener])
    api.close()


def log(exchange: Exchange, seconds: float) -> None:
    """Print the line of a request."""
    scope = exchange.scope
    path = "".join(char if char.isprintable() else "?" for char in scope["path"][:PATH_LENGTH])
    note = f" {exchange.note}" if exchange.note else ""
    _print(f"{scope['method'][:20]} {path} {exchange.status or '-'}{note} {seconds:.2f} s")


def log_failure(error: RequestFailed) -> None:
    """Print the line of a connection that had no request."""
    _print(f"- - {error.status} {error.cause}")


def _print(text: str) -> None:
    write_error(f"{time.strftime('%H:%M:%S')} {text}")
    sys.stderr.flush()
