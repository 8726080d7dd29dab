"""Moving files to and from a store elsewhere, by fsspec: bounded waits, bounded attempts, nothing half-made."""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tapeout.graph.errors import GraphError, RemoteError, RemoteRefused, RemoteUnavailable
from tapeout.graph.files import report_disk_full
from tapeout.graph.remote.protocols import PROTOCOLS

BLOCK = 4 << 20
"""Bytes asked for at a time; a block that is cut off is asked for again."""
PATIENCE = 10.0
"""Seconds that the remote has for its first answer."""
PAUSES = (0.3, 1.0, 3.0)
"""Seconds between the attempts at one thing."""
FULL = {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")
R = TypeVar("R")


def shown(url: str) -> str:
    """A remote's address without the password that it may hold."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "that TAPEOUT_REMOTE names"
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query="", fragment=""))


class Transport:
    """One store elsewhere; many threads may use it.

    Every method raises ``RemoteUnavailable`` if the remote does not answer and ``RemoteRefused`` if it will not; after it was
    away once, at once.
    """

    def __init__(self, url: str) -> None:
        """
        Args:
            url: a folder, or an address that begins with one of ``PROTOCOLS``.

        Raises:
            RemoteError: it is no address, or begins with something else.
        """
        scheme, separator, _ = url.partition("://")
        try:
            self._password = urlsplit(url).password
        except ValueError as error:
            raise RemoteError(f"TAPEOUT_REMOTE is no address: {error}.", "Correct it.") from error
        if separator and scheme not in PROTOCOLS:
            known = ", ".join(f"{name}://" for name in sorted(PROTOCOLS))
            raise RemoteError(f"{scheme}:// is no protocol of a remote.", f"Begin TAPEOUT_REMOTE with {known}.")
        self.scheme = scheme if separator else "file"
        self.protocol = PROTOCOLS[self.scheme]
        self.url, self.name = url, shown(url)
        self.root = ""
        self._mine = threading.local()
        self._everybodys: Any = None
        self._opening = threading.Lock()
        self._away = ""

    def reach(self) -> None:
        """Make sure that the remote is there, within ``PATIENCE`` seconds, whatever its library waits for.

        Raises:
            RemoteError: its options do not fit.
        """
        import fsspec

        fsspec.get_filesystem_class(self.scheme)  # reading the library takes its time too; that is not the remote's
        outcome: list[GraphError | None] = []

        def ask() -> None:
            try:
                self._attempt(lambda files: self.protocol.probe(files, self.root))
                outcome.append(None)
            except NO_FILE:
                outcome.append(RemoteUnavailable(f"The remote {self.name} does not exist.", "Correct TAPEOUT_REMOTE."))
            except GraphError as error:
                outcome.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        error = outcome[0] if outcome else self._gone(f"no answer within {PATIENCE:.0f} s")
        if error is not None:
            self._away = self._away or error.cause
            raise error

    def read(self, key: str, limit: int) -> bytes | None:
        """A small file's first ``limit`` bytes; None if there is no such file."""

        def whole(files: Any) -> bytes:
            try:
                return bytes(files.cat_file(self._path(key), start=0, end=limit))
            except OSError as error:
                if error.errno == errno.EINVAL and files.info(self._path(key))["size"] == 0:
                    return b""  # S3 has no first byte of nothing
                raise

        try:
            return self._attempt(whole)
        except NO_FILE:
            return None

    def stat(self, key: str) -> tuple[int, str] | None:
        """A file's size, and a word that changes when the file does; None if there is no such file."""
        try:
            info = self._attempt(lambda files: files.info(self._path(key)))
        except NO_FILE:
            return None
        return info["size"], str([info.get(name) for name in ("size", "ETag", "mtime", "LastModified")])

    def download(self, key: str, part: IO[bytes], size: int, tell: Callable[[int], None]) -> bool:
        """Append to ``part``, which holds the file's beginning, until it is ``size`` bytes long.

        Args:
            key: the file.
            part: open for reading and appending, without a buffer.
            size: bytes to fetch at most.
            tell: called with the number of bytes whenever some have arrived.

        Returns:
            Whether it is that long; False if the file is missing or too short.

        Raises:
            DiskFull: there is no space for it here.
        """

        def rest(files: Any) -> int:
            begin = offset = part.seek(0, os.SEEK_END)
            try:
                with files.open(self._path(key), "rb", block_size=BLOCK, cache_type="none") as opened:
                    source = self.protocol.reading(opened)
                    source.seek(offset)
                    while offset < size and (data := source.read(min(BLOCK, size - offset))):
                        offset += _append(part, data)
                        tell(len(data))
            except self.protocol.troubles():
                if offset == begin:
                    raise
                self._mine.__dict__.clear()  # a line that breaks now and then gets there; attempts count from here
            return offset - begin

        try:
            while part.seek(0, os.SEEK_END) < size:
                if not self._attempt(rest):
                    return False
        except NO_FILE:
            return False
        return True

    def upload(self, file: Path, key: str) -> None:
        """Put a file in place, over one that may be there; nobody ever sees half of it under its name."""
        try:
            self._attempt(lambda files: self.protocol.put(files, self.root, file, self._path(key)))
        except NO_FILE as error:
            raise self._refused(error) from error

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Call a function for many items side by side; the results in the items' order."""
        with ThreadPoolExecutor(self.protocol.threads) as pool:
            return list(pool.map(function, items))

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _attempt(self, action: Callable[[Any], R]) -> R:
        """Do something with the file system, again after a pause if the connection fails.

        Raises:
            NO_FILE: there is no such file.
        """
        for pause in (*PAUSES, None):
            if self._away:
                raise self._gone("")
            try:
                return action(self._files())
            except NO_FILE:
                raise
            except self.protocol.refusals() as error:
                raise self._refused(error) from error
            except self.protocol.troubles() as error:
                if isinstance(error, OSError) and error.errno in FULL:
                    raise self._refused(error) from error
                self._mine.__dict__.clear()
                if pause is None:
                    raise self._gone(self._words(error)) from error
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _files(self) -> Any:
        """The file system, opened if need be: one for each thread, unless the protocol's can be shared."""
        if not self.protocol.one_for_all:
            if not hasattr(self._mine, "files"):
                self._mine.files = self._open()
            return self._mine.files
        with self._opening:
            if self._everybodys is None:
                self._everybodys = self._open()
        return self._everybodys

    def _open(self) -> Any:
        import fsspec
        from fsspec.config import conf

        given = conf.get("s3" if self.scheme == "s3" else "ssh", {}) | conf.get(self.scheme, {})
        try:
            options = self.protocol.options(given)
            files, root = fsspec.core.url_to_fs(self.url, skip_instance_cache=True, **options)
        except (TypeError, ValueError, ImportError) as error:
            raise RemoteError(
                f"The remote {self.name} cannot be opened: {self._words(error)}.",
                f"Correct the FSSPEC_{self.scheme.upper()} variables.",
            ) from error
        self.root = str(root).rstrip("/")
        return self.protocol.opened(files)

    def _gone(self, why: str) -> RemoteUnavailable:
        self._away = self._away or why
        return RemoteUnavailable(
            f"The remote {self.name} is away ({self._away}).", "See to it, or unset TAPEOUT_REMOTE."
        )

    def _refused(self, error: Exception) -> RemoteRefused:
        fix = "Mend credentials, permissions or space there, or leave TAPEOUT_REMOTE_MODE read-only."
        return RemoteRefused(f"The remote {self.name} refuses ({self._words(error)}).", fix)

    def _words(self, error: Exception) -> str:
        """What a library said, in one line and without the address's password."""
        words = f"{type(error).__name__}: {error}".splitlines()[0].strip(" .")
        return words.replace(self._password, "***") if self._password else words


def _append(part: IO[bytes], data: bytes) -> int:
    """Write to the disk here, whose faults are not the remote's; a nearly full one takes a piece at a time."""
    rest = memoryview(data)
    with report_disk_full():
        while rest:
            rest = rest[part.write(rest) :]
    return len(data)
