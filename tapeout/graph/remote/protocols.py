"""The protocols that a store elsewhere may be reached by: what differs between them.

Libraries are imported where they are used: S3's alone takes half a second, and most runs ask no remote.
"""

import contextlib
import logging
import secrets
import stat
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import Any

from tapeout.graph.errors import NotWritable
from tapeout.graph.files import copy_atomically
from tapeout.graph.store.store import Store

SECONDS_TO_CONNECT = 5
SECONDS_OF_SILENCE = 30
PART = 16 << 20
"""Bytes of one part of a large upload to S3."""
LARGEST_REQUEST = 255 << 10
"""Bytes that OpenSSH answers one SFTP request with; a server that gives less is asked again for the rest. (paramiko's
own way of asking ahead fetches parts twice, and writes to the terminal when the connection breaks.)"""


class Protocol(ABC):
    """How files are reached in one way; ``files`` is always the fsspec file system."""

    threads = 8
    one_for_all = False
    """Whether threads may share a file system; otherwise each has a connection of its own."""

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """What to open the file system with, beside what the user has ``given`` by fsspec's own configuration."""
        return {}

    def opened(self, files: Any) -> Any:
        """Prepare a file system that was just opened."""
        return files

    def troubles(self) -> tuple[type[Exception], ...]:
        """Errors after which another attempt may do better."""
        return (OSError, EOFError)

    def refusals(self) -> tuple[type[Exception], ...]:
        """Errors after which it will not."""
        return (PermissionError,)

    def probe(self, files: Any, root: str) -> None:
        """Raises ``FileNotFoundError`` if the place does not exist: nobody meant to write into a missing mount."""
        files.info(root)

    def reading(self, file: Any) -> Any:
        """Prepare a file that is about to be read."""
        return file

    @abstractmethod
    def put(self, files: Any, root: str, file: Path, path: str) -> None:
        """Upload a file, with mode and time if the place keeps them; ``path`` is never half a file."""


class Folder(Protocol):
    """A folder that is mounted here. It is a store itself: others may use it as ``TAPEOUT_STORE``."""

    def refusals(self) -> tuple[type[Exception], ...]:
        """What the folder's permissions say."""
        return (PermissionError, NotWritable)

    def put(self, files: Any, root: str, file: Path, path: str) -> None:
        """Copy under a temporary name, then rename."""
        with Store(Path(root)).writing(Path(path)):
            copy_atomically(file, Path(path))


class Bucket(Protocol):
    """S3 and what speaks like it. An object appears when its upload is complete."""

    threads = 16
    one_for_all = True

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Bounded waits, no attempts but ours, no memory of listings."""
        bounds = {
            "connect_timeout": SECONDS_TO_CONNECT,
            "read_timeout": SECONDS_OF_SILENCE,
            "retries": {"max_attempts": 0},
            "max_pool_connections": self.threads,
        }
        return {"config_kwargs": bounds | given.get("config_kwargs", {}), "use_listings_cache": False}

    def opened(self, files: Any) -> Any:
        """Leave repeating to the transport."""
        files.retries = 1
        return files

    def troubles(self) -> tuple[type[Exception], ...]:
        """What botocore and aiohttp raise beside the system's errors."""
        from aiohttp import ClientError as HttpError
        from botocore.exceptions import BotoCoreError, ClientError

        return (OSError, EOFError, BotoCoreError, ClientError, HttpError)

    def refusals(self) -> tuple[type[Exception], ...]:
        """No credentials, or none that suffice."""
        from botocore.exceptions import NoCredentialsError

        return (PermissionError, NoCredentialsError)

    def probe(self, files: Any, root: str) -> None:
        """Ask for the bucket; who may not list it may still read from it."""
        with contextlib.suppress(PermissionError):
            files.info(root.partition("/")[0])

    def put(self, files: Any, root: str, file: Path, path: str) -> None:
        """One request, or parts that become an object when all have arrived."""
        files.put_file(str(file), path, chunksize=PART)


class Ssh(Protocol):
    """A folder of another host, by SFTP."""

    threads = 4  # a server may turn away the eleventh connection that has not logged in yet

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Bounded waits; only hosts whose key the user knows, which fsspec by itself does not ask for."""
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it shows tracebacks of what it raises as well
        options = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), SECONDS_TO_CONNECT)
        return {name: value for name, value in (options | _known_hosts()).items() if name not in given}

    def opened(self, files: Any) -> Any:
        """A server that falls silent counts as away."""
        files.ftp.get_channel().settimeout(SECONDS_OF_SILENCE)
        return files

    def troubles(self) -> tuple[type[Exception], ...]:
        """What paramiko raises beside the system's errors."""
        from paramiko import SFTPError, SSHException

        return (OSError, EOFError, SSHException, SFTPError)

    def refusals(self) -> tuple[type[Exception], ...]:
        """A login that failed; more attempts would get the user locked out."""
        from paramiko import AuthenticationException

        return (PermissionError, AuthenticationException)

    def reading(self, file: Any) -> Any:
        """Ask for as much at a time as OpenSSH gives: each request takes a way to the server and back."""
        file.MAX_REQUEST_SIZE = LARGEST_REQUEST
        return file

    def put(self, files: Any, root: str, file: Path, path: str) -> None:
        """Write under a temporary name, then rename."""
        place = PurePosixPath(path)
        temporary = str(place.with_name(f".{place.name}.{secrets.token_hex(8)}.tmp"))
        info = file.stat()
        files.makedirs(str(place.parent), exist_ok=True)
        try:
            files.ftp.put(str(file), temporary)
            files.ftp.chmod(temporary, stat.S_IMODE(info.st_mode))
            files.ftp.utime(temporary, (info.st_mtime, info.st_mtime))
            files.ftp.posix_rename(temporary, path)
        except self.troubles():
            with contextlib.suppress(*self.troubles()):
                files.ftp.remove(temporary)
            raise


def _known_hosts() -> dict[str, Any]:
    from paramiko import AuthenticationException, HostKeys, MissingHostKeyPolicy

    class KnownHosts(MissingHostKeyPolicy):
        """Refuse a host whose key is not in the user's ``known_hosts``."""

        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            path = Path.home() / ".ssh" / "known_hosts"
            if not path.exists() or not HostKeys(str(path)).check(hostname, key):
                raise AuthenticationException(f"the {key.get_name()} key of {hostname} is not in {path}")

    return {"host_key_policy": KnownHosts()}


PROTOCOLS: dict[str, Protocol] = {"file": Folder(), "s3": Bucket(), "ssh": Ssh(), "sftp": Ssh()}
