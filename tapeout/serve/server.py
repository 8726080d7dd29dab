"""``tapeout serve``: the server's process, from its socket to its last line."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from types import FrameType

import uvicorn

from tapeout.config.serving import ServeJob
from tapeout.errors import TapeoutError
from tapeout.serve.api import Api
from tapeout.serve.exchange import MAX_HEAD
from tapeout.serve.model import Model
from tapeout.serve.protocol import LimitedProtocol
from tapeout.serve.request_log import RequestLog

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEEP_ALIVE_SECONDS = 5
SECONDS_TO_END = 3
"""Seconds in which responses must be complete after a signal; the generation ends with its current token."""


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
        raise cannot_listen(host, port, error) from error
    return listener


def cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    """Return the error about an address that cannot be used."""
    reason = (error.strerror or str(error)).lower()
    return CannotListen(f"Port {port} at {host} cannot be used: {reason}.", "Name another: --port 0")


class Server(uvicorn.Server):  # type: ignore[misc]
    """uvicorn's server; a signal ends it with exit status 0, and the generation first."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self.api = api

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and print the address.

        Raises:
            CannotListen: another program uses the port since the model was loaded.
        """
        host, port = (sockets or [])[0].getsockname()[:2]
        try:
            await super().startup(sockets)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        print(f"Serving {self.api.model.name} at {address}")
        print("End it with Ctrl-C. One line per request follows; docs/serving.md explains the endpoints.", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the connections: after their responses, or when these take too long, or at once after a second signal."""
        timer = asyncio.get_running_loop().call_later(SECONDS_TO_END, self._abort)
        await super().shutdown(sockets)
        timer.cancel()
        self._abort()
        if tasks := self.server_state.tasks:
            await asyncio.wait(tasks, timeout=SECONDS_TO_END)

    def _abort(self) -> None:
        """Close all connections, which ends what is done for them."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs."""
        loop = asyncio.get_running_loop()
        handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        for number in handled:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)  # nothing is left to end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the generation and then the server; the second time, at once."""
        self.force_exit: bool = self.should_exit
        self.should_exit: bool = True
        self.api.turns.stopping.set()
        if self.force_exit:
            self._abort()


def serve(model: Model, job: ServeJob, listener: socket.socket) -> None:
    """Answer requests until a signal comes."""
    api = Api(model, job, RequestLog())
    api.warm_up()
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    config = uvicorn.Config(
        api,
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=2 * SECONDS_TO_END,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
    Server(config, api).run([listener])
    api.close()
