"""Servers that a remote store is tested against: S3 (moto's), SFTP (paramiko's), and a proxy to them that breaks."""

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
    """A socket that waits for connections."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@dataclass
class Proxy:
    """A proxy to a server, that can be cut or held after so many bytes.

    ``down`` and ``up`` count what has passed. When ``last`` bytes of answers have, the proxy is dead. While ``cuts`` is
    positive, a connection is cut when ``cut_down`` bytes of an answer or ``cut_up`` bytes of a request have passed on
    it; with ``hold`` it is stopped there instead, and ``held`` tells.
    """

    port: int
    down: int = 0
    up: int = 0
    last: int | None = None
    cuts: int = 0
    cut_down: int | None = None
    cut_up: int | None = None
    hold: bool = False
    held: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                behind = socket.create_connection(("127.0.0.1", self.port))
                for one, other, is_down in ((behind, client, True), (client, behind, False)):
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
                if over and self.hold:
                    self.held.set()
                    return
                if over:
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[tuple[Proxy, int]]:
    """A proxy to the server at ``port``, and the port where it begins."""
    with listening() as server:
        proxy = Proxy(port)
        threading.Thread(target=proxy.serve, args=(server,), daemon=True).start()
        yield proxy, server.getsockname()[1]


class Login(paramiko.ServerInterface):
    """Lets in who knows the password."""

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if password == "sesame" else paramiko.AUTH_FAILED


class Handle(paramiko.SFTPHandle):
    """An open file."""

    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


def answered(function):  # type: ignore[no-untyped-def]
    """Turn the system's errors into SFTP's."""

    def call(*arguments):  # type: ignore[no-untyped-def]
        try:
            return function(*arguments)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    return call


class Files(paramiko.SFTPServerInterface):
    """The host's files, as they are."""

    @answered
    def stat(self, path: str) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(Path(path).stat())

    lstat = stat

    @answered
    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Handle:
        writes = bool(flags & os.O_WRONLY)
        file = os.fdopen(os.open(path, flags, 0o666), "wb" if writes else "rb", buffering=0)
        handle = Handle(flags)
        handle.filename = path
        handle.readfile = handle.writefile = file
        return handle

    @answered
    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        Path(path).mkdir()
        return paramiko.SFTP_OK

    @answered
    def remove(self, path: str) -> int:
        Path(path).unlink()
        return paramiko.SFTP_OK

    @answered
    def posix_rename(self, old: str, new: str) -> int:
        os.replace(old, new)
        return paramiko.SFTP_OK

    @answered
    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        paramiko.SFTPServer.set_file_attr(path, attr)
        return paramiko.SFTP_OK


@contextlib.contextmanager
def sftp() -> Iterator[tuple[int, paramiko.PKey]]:
    """An SFTP server; its port and its key."""
    key = paramiko.RSAKey.generate(2048)
    kept = []

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                transport = paramiko.Transport(client)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
                with contextlib.suppress(EOFError, paramiko.SSHException):
                    transport.start_server(server=Login())
                kept.append(transport)

    with listening() as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1], key
        for transport in kept:
            transport.close()


def know(home: Path, port: int, key: paramiko.PKey) -> None:
    """Let the user of ``home`` know the key of the host at ``port``."""
    hosts = home / ".ssh" / "known_hosts"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
