"""Servers for tests of remote stores: SFTP (paramiko), and a proxy whose connections can be cut."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """Listen on a free port of this machine."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@dataclass
class Proxy:
    """Proxy to a server, whose connections can be cut or paused after a number of bytes.

    Attributes:
        port: port of the server.
        down, up: bytes of responses and of requests so far.
        last: after this number of bytes of responses every connection is cut.
        cuts: number of connections that are still to be cut after ``cut_down`` or ``cut_up`` bytes.
        cut_down, cut_up: bytes of responses, or of requests, on one connection.
        pause: pause a connection instead of cutting it, and set ``paused``.
    """

    port: int
    down: int = 0
    up: int = 0
    last: int | None = None
    cuts: int = 0
    cut_down: int | None = None
    cut_up: int | None = None
    pause: bool = False
    paused: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                upstream = socket.create_connection(("127.0.0.1", self.port))
                for one, other, is_down in ((upstream, client, True), (client, upstream, False)):
                    threading.Thread(target=self.pump, args=(one, other, is_down), daemon=True).start()

    def pump(self, one: socket.socket, other: socket.socket, is_down: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 14):
                passed += len(data)
                limit = self.cut_down if is_down else self.cut_up
                with self.lock:
                    over = limit is not None and passed > limit and self.cuts > 0
                    if self.last is not None and self.down > self.last:
                        break
                    if over:
                        self.cuts -= 1
                    else:
                        self.down, self.up = self.down + is_down * len(data), self.up + (not is_down) * len(data)
                if over and self.pause:
                    self.paused.set()
                    return
                if over:
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[tuple[Proxy, int]]:
    """Start a proxy to the server at ``port``; yield it and its own port."""
    with listening() as server:
        proxy = Proxy(port)
        threading.Thread(target=proxy.serve, args=(server,), daemon=True).start()
        yield proxy, server.getsockname()[1]


class Login(paramiko.ServerInterface):
    """Accepts one password."""

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if password == "sesame" else paramiko.AUTH_FAILED


class Handle(paramiko.SFTPHandle):
    """Open file."""

    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


def with_sftp_errors(function):  # type: ignore[no-untyped-def]
    """Return the function with system errors converted to SFTP's."""

    def call(*arguments):  # type: ignore[no-untyped-def]
        try:
            return function(*arguments)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    return call


class Files(paramiko.SFTPServerInterface):
    """File system of the host."""

    @with_sftp_errors
    def stat(self, path: str) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(Path(path).stat())

    lstat = stat

    @with_sftp_errors
    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Handle:
        writes = bool(flags & os.O_WRONLY)
        file = os.fdopen(os.open(path, flags, 0o666), "wb" if writes else "rb", buffering=0)
        handle = Handle(flags)
        handle.filename = path
        handle.readfile = handle.writefile = file
        return handle

    @with_sftp_errors
    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        Path(path).mkdir()
        return paramiko.SFTP_OK

    @with_sftp_errors
    def remove(self, path: str) -> int:
        Path(path).unlink()
        return paramiko.SFTP_OK

    @with_sftp_errors
    def posix_rename(self, old: str, new: str) -> int:
        os.replace(old, new)
        return paramiko.SFTP_OK

    @with_sftp_errors
    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        paramiko.SFTPServer.set_file_attr(path, attr)
        return paramiko.SFTP_OK


@contextlib.contextmanager
def sftp() -> Iterator[tuple[int, paramiko.PKey]]:
    """Start an SFTP server; yield its port and its key."""
    key = paramiko.RSAKey.generate(2048)
    transports = []

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                transport = paramiko.Transport(client)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                with contextlib.suppress(EOFError, paramiko.SSHException):
                    transport.start_server(server=Login())
                transports.append(transport)

    with listening() as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1], key
        for transport in transports:
            transport.close()


def trust_host(home: Path, port: int, key: paramiko.PKey) -> None:
    """Add the key of the host at ``port`` to the known hosts of the user of ``home``."""
    hosts = home / ".ssh" / "known_hosts"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
