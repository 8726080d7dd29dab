"""Protocols of remote stores: folder, S3 and SFTP.

Their libraries are imported inside functions: S3's takes half a second, and most runs do not use a remote.
"""

import contextlib
import logging
import os
import secrets
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tapeout.graph.errors import NotAPlainFile, NotWritable
from tapeout.graph.files import only_regular, temporary_path
from tapeout.graph.store.store import Store

CONNECT_TIMEOUT = 5
"""Seconds."""
READ_TIMEOUT = 30
"""Seconds."""
PART_SIZE = 16 << 20
"""Bytes of one part of a large upload to S3."""
BLOCK = 4 << 20
"""Bytes that are read at once; a block that was cut off is requested again."""
SYNC_BLOCKS = 32
"""Blocks after which a copy is written to its disk, so that it makes progress all the time."""
MAX_REQUEST_SIZE = 255 << 10
"""Bytes that OpenSSH returns for one SFTP request; if a server returns fewer, the rest is requested again. paramiko's
read-ahead is not used: it fetches parts twice, and prints to the terminal when the connection breaks."""


class Protocol(ABC):
    """Differences between the protocols; ``files`` is always an fsspec file system."""

    threads = 8
    """Number of concurrent transfers."""
    thread_safe = False
    """True if threads may share a connection; otherwise each thread opens its own."""
    bounded = True
    """True if the library ends every request that gets no answer."""

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return options of the file system, in addition to those ``given`` by the user's fsspec configuration."""
        return {}

    def prepare(self, files: Any) -> Any:
        """Configure a file system that was just opened, and return it."""
        return files

    def temporary_errors(self) -> tuple[type[Exception], ...]:
        """Return the errors after which another attempt may succeed."""
        return (OSError, EOFError)

    def permanent_errors(self) -> tuple[type[Exception], ...]:
        """Return the errors after which no attempt will succeed."""
        return (PermissionError,)

    def probe(self, files: Any, root: str) -> None:
        """Check that the root exists, so that nothing is written below the mount point of a missing disk.

        Raises:
            FileNotFoundError: it does not exist.
        """
        files.info(root)

    def open(self, files: Any, path: str) -> Any:
        """Open a file for reading."""
        return files.open(path, "rb", block_size=BLOCK, cache_type="none")

    def read(self, files: Any, path: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a file."""
        return bytes(files.cat_file(path, start=0, end=limit))

    @abstractmethod
    def put(self, files: Any, root: str, file: Path, path: str, on_progress: Callable[[], None]) -> None:
        """Upload a file, with mode and time where possible; ``path`` is never incomplete.

        ``on_progress`` is called again and again unless ``bounded``.
        """


class Folder(Protocol):
    """Mounted folder. It is a store itself: others may use it as ``TAPEOUT_STORE``.

    The server of a network file system may stop answering, and the system then waits for it forever.
    """

    bounded = False

    def permanent_errors(self) -> tuple[type[Exception], ...]:
        """Return the errors of missing permissions."""
        return (PermissionError, NotWritable)

    def open(self, files: Any, path: str) -> Any:
        """Open a regular file; anything else counts as missing, because opening a pipe could wait forever."""
        try:
            return open(path, "rb", buffering=0, opener=only_regular)
        except NotAPlainFile as error:
            raise FileNotFoundError(error.cause) from error

    def read(self, files: Any, path: str, limit: int) -> bytes:
        """Return the first bytes of a regular file."""
        with self.open(files, path) as file:
            return bytes(file.read(limit))

    def put(self, files: Any, root: str, file: Path, path: str, on_progress: Callable[[], None]) -> None:
        """Copy to a temporary name, then rename."""
        target = Path(path)
        with Store(Path(root)).writing(target):
            temporary = temporary_path(target)
            try:
                with open(file, "rb", buffering=0) as source, open(temporary, "wb", buffering=0) as copy:
                    for number, block in enumerate(iter(lambda: source.read(BLOCK), b""), 1):
                        write_all(copy, block)
                        if number % SYNC_BLOCKS == 0:
                            os.fsync(copy.fileno())
                        on_progress()
                    os.fsync(copy.fileno())
                shutil.copystat(file, temporary)
                os.replace(temporary, target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise


class Bucket(Protocol):
    """S3 and compatible servers. An object becomes visible when its upload is complete."""

    threads = 16
    thread_safe = True

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return timeouts, and disable botocore's own retries and fsspec's cache of listings."""
        bounds = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"max_attempts": 0},
            "max_pool_connections": self.threads,
        }
        return {"config_kwargs": bounds | given.get("config_kwargs", {}), "use_listings_cache": False}

    def prepare(self, files: Any) -> Any:
        """Disable fsspec's own retries."""
        files.retries = 1
        return files

    def temporary_errors(self) -> tuple[type[Exception], ...]:
        """Return also the errors of botocore and aiohttp."""
        from aiohttp import ClientError as HttpError
        from botocore.exceptions import BotoCoreError, ClientError

        return (OSError, EOFError, BotoCoreError, ClientError, HttpError)

    def permanent_errors(self) -> tuple[type[Exception], ...]:
        """Return the errors of missing or insufficient credentials."""
        from botocore.exceptions import NoCredentialsError

        return (PermissionError, NoCredentialsError)

    def probe(self, files: Any, root: str) -> None:
        """Check that the bucket exists; a user who may not list it may still read from it."""
        with contextlib.suppress(PermissionError):
            files.info(root.partition("/")[0])

    def put(self, files: Any, root: str, file: Path, path: str, on_progress: Callable[[], None]) -> None:
        """Upload in one request, or in parts that become an object when all have arrived."""
        files.put_file(str(file), path, chunksize=PART_SIZE)


class Ssh(Protocol):
    """Folder of another host, over SFTP."""

    threads = 4  # OpenSSH rejects connections when more than ten are not logged in yet

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return timeouts, and accept only known hosts, which fsspec does not check."""
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs tracebacks of errors that it raises, too
        options = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), CONNECT_TIMEOUT)
        return {name: value for name, value in (options | _known_hosts()).items() if name not in given}

    def prepare(self, files: Any) -> Any:
        """Set a timeout for every operation."""
        files.ftp.get_channel().settimeout(READ_TIMEOUT)
        return files

    def temporary_errors(self) -> tuple[type[Exception], ...]:
        """Return also the errors of paramiko."""
        from paramiko import SFTPError, SSHException

        return (OSError, EOFError, SSHException, SFTPError)

    def permanent_errors(self) -> tuple[type[Exception], ...]:
        """Return also a failed login: more attempts could lock the user out."""
        from paramiko import AuthenticationException

        return (PermissionError, AuthenticationException)

    def open(self, files: Any, path: str) -> Any:
        """Request as much as OpenSSH returns at once, since each request is a round trip."""
        file = super().open(files, path)
        file.MAX_REQUEST_SIZE = MAX_REQUEST_SIZE
        return file

    def put(self, files: Any, root: str, file: Path, path: str, on_progress: Callable[[], None]) -> None:
        """Upload to a temporary name, then rename."""
        target = PurePosixPath(path)
        temporary = str(target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp"))
        info = file.stat()
        files.makedirs(str(target.parent), exist_ok=True)
        try:
            files.ftp.put(str(file), temporary)
            files.ftp.chmod(temporary, stat.S_IMODE(info.st_mode))
            files.ftp.utime(temporary, (info.st_mtime, info.st_mtime))
            files.ftp.posix_rename(temporary, path)
        except self.temporary_errors():
            with contextlib.suppress(*self.temporary_errors()):
                files.ftp.remove(temporary)
            raise


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write to a file without a buffer, which may take a part of the data at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _known_hosts() -> dict[str, Any]:
    """Return a policy that refuses every host whose key is not in the user's ``known_hosts``."""
    from paramiko import AuthenticationException, HostKeys, MissingHostKeyPolicy

    def missing_host_key(policy: Any, client: Any, hostname: str, key: Any) -> None:
        path = Path.home() / ".ssh" / "known_hosts"
        if not path.exists() or not HostKeys(str(path)).check(hostname, key):
            raise AuthenticationException(f"the {key.get_name()} key of {hostname} is not in {path}")

    return {"host_key_policy": type("KnownHosts", (MissingHostKeyPolicy,), {"missing_host_key": missing_host_key})()}


PROTOCOLS: dict[str, Protocol] = {"file": Folder(), "s3": Bucket(), "ssh": Ssh(), "sftp": Ssh()}
