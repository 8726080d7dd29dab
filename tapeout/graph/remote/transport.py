"""Transfer of files to and from a remote store with fsspec: bounded time, bounded retries, never an incomplete file."""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tapeout.errors import TapeoutError
from tapeout.graph.errors import RemoteError, RemoteRefused, RemoteUnavailable
from tapeout.graph.files import report_disk_errors, written_file
from tapeout.graph.remote.protocols import BLOCK, PROTOCOLS, READ_TIMEOUT, write_all

FIRST_RESPONSE_TIMEOUT = 10.0
"""Seconds."""
RETRY_PAUSES = (0.3, 1.0, 3.0)
"""Seconds between the attempts of one operation."""
FULL = {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)

T = TypeVar("T")
R = TypeVar("R")


def without_password(url: str) -> str:
    """Return a remote's URL without the password that it may contain."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "of TAPEOUT_REMOTE"
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query="", fragment=""))


class Transport:
    """Connection to a remote store, which many threads may use.

    Every method raises ``RemoteUnavailable`` if the remote does not answer, without waiting again after the first time,
    and ``RemoteRefused`` if it does not permit the operation.

    Args:
        url: a folder, or a URL that begins with one of ``PROTOCOLS``.

    Raises:
        RemoteError: the URL is not valid, or has another protocol.
    """

    def __init__(self, url: str) -> None:
        scheme, separator, _ = url.partition("://")
        try:
            self._password = urlsplit(url).password
        except ValueError as error:
            raise RemoteError(f"TAPEOUT_REMOTE is not a URL: {error}.", "Correct it.") from error
        if separator and scheme not in PROTOCOLS:
            known = ", ".join(f"{name}://" for name in sorted(PROTOCOLS))
            raise RemoteError(
                f"Remotes do not support the protocol {scheme}://.", f"Begin TAPEOUT_REMOTE with {known}."
            )
        self.scheme = scheme if separator else "file"
        self.protocol = PROTOCOLS[self.scheme]
        self.url, self.name = url, without_password(url)
        self.root = ""
        self._own = threading.local()
        self._shared: Any = None
        self._opening = threading.Lock()
        self._failure = ""
        self._progress = 0.0

    def reach(self) -> None:
        """Check that the remote answers within ``FIRST_RESPONSE_TIMEOUT``, independent of its library's timeouts.

        Raises:
            RemoteError: its options are not valid.
        """
        import fsspec

        fsspec.get_filesystem_class(self.scheme)  # importing the library takes time that does not count
        outcome: list[TapeoutError | None] = []

        def probe() -> None:
            try:
                self._attempt(lambda files: self.protocol.probe(files, self.root))
                outcome.append(None)
            except NO_FILE:
                outcome.append(RemoteUnavailable(f"The remote {self.name} does not exist.", "Correct TAPEOUT_REMOTE."))
            except TapeoutError as error:
                outcome.append(error)

        thread = threading.Thread(target=probe, daemon=True)
        thread.start()
        thread.join(FIRST_RESPONSE_TIMEOUT)
        error = outcome[0] if outcome else self._unavailable(f"no answer within {FIRST_RESPONSE_TIMEOUT:.0f} s")
        if error is not None:
            self._failure = self._failure or error.cause
            raise error

    def read(self, key: str, limit: int) -> bytes | None:
        """Return the first ``limit`` bytes of a small file, or None if it does not exist."""

        def read_all(files: Any) -> bytes:
            try:
                return self.protocol.read(files, self._path(key), limit)
            except OSError as error:
                if error.errno == errno.EINVAL and files.info(self._path(key))["size"] == 0:
                    return b""  # S3 refuses a range of an empty file
                raise

        try:
            return self._attempt(read_all)
        except NO_FILE:
            return None

    def stat(self, key: str) -> tuple[int, str] | None:
        """Return a file's size, and a text that changes whenever the file does; None if it does not exist."""
        try:
            info = self._attempt(lambda files: files.info(self._path(key)))
        except NO_FILE:
            return None
        if info["type"] in ("directory", "other"):
            return None
        return info["size"], str([info.get(name) for name in ("size", "ETag", "mtime", "LastModified")])

    def download(self, key: str, part: IO[bytes], size: int, on_bytes: Callable[[int], None]) -> bool:
        """Append to ``part``, which has the beginning of the file, until it is ``size`` bytes long.

        ``part`` is open for reading and appending, without a buffer; ``on_bytes`` gets the size of each block.

        Returns:
            Whether it is complete; False if the file is missing or too short.

        Raises:
            DiskFull: the local disk is full.
        """

        def rest(files: Any) -> int:
            begin = offset = part.seek(0, os.SEEK_END)
            try:
                with self.protocol.open(files, self._path(key)) as source:
                    source.seek(offset)
                    while offset < size and (data := source.read(min(BLOCK, size - offset))):
                        offset += _append(part, data)
                        on_bytes(len(data))
                        self._note_progress()
            except self.protocol.temporary_errors():
                if offset == begin:
                    raise
                self._own.__dict__.clear()  # there was progress, so the count of attempts starts again
            return offset - begin

        try:
            while part.seek(0, os.SEEK_END) < size:
                if not self._attempt(rest):
                    return False
        except NO_FILE:
            return False
        return True

    def upload(self, file: Path, key: str) -> None:
        """Upload a file atomically, over one that may exist."""
        try:
            self._attempt(lambda files: self.protocol.put(files, self.root, file, self._path(key), self._note_progress))
        except NO_FILE as error:
            raise self._refused(error) from error

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Call a function for many items concurrently; return the results in the order of the items."""
        with ThreadPoolExecutor(self.protocol.threads) as pool:
            return list(pool.map(function, items))

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _attempt(self, action: Callable[[Any], R]) -> R:
        """Call ``action`` with the file system; retry after a pause if the connection fails.

        Raises:
            NO_FILE: the file does not exist.
        """
        for pause in (*RETRY_PAUSES, None):
            if self._failure:
                raise self._unavailable("")
            try:
                return self._within_bounds(action)
            except NO_FILE:
                raise
            except self.protocol.permanent_errors() as error:
                raise self._refused(error) from error
            except self.protocol.temporary_errors() as error:
                if isinstance(error, OSError) and error.errno in FULL:
                    raise self._refused(error) from error
                self._own.__dict__.clear()
                if pause is None:
                    raise self._unavailable(self._message(error)) from error
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _note_progress(self) -> None:
        self._progress = time.monotonic()

    def _within_bounds(self, action: Callable[[Any], R]) -> R:
        """Call ``action`` with the file system, and stop waiting for it when there is no progress any more.

        Raises:
            RemoteUnavailable: nothing has happened for ``READ_TIMEOUT`` seconds.
        """
        if self.protocol.bounded:
            return action(self._files())
        files, ended = self._files(), threading.Event()
        outcome: list[R | Exception] = []
        errors: tuple[type[Exception], ...] = (TapeoutError, *self.protocol.temporary_errors())

        def call() -> None:
            try:
                outcome.append(action(files))
            except errors as error:
                outcome.append(error)
            finally:
                ended.set()

        self._note_progress()
        threading.Thread(target=call, daemon=True).start()  # the system may never end it
        while not ended.wait(max(0.1, self._progress + READ_TIMEOUT - time.monotonic())):
            if time.monotonic() - self._progress >= READ_TIMEOUT:
                raise self._unavailable(f"no answer within {READ_TIMEOUT} s")
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def _files(self) -> Any:
        """Return the file system, opened on first use: one per thread, or a shared one if the protocol permits it."""
        if not self.protocol.thread_safe:
            if not hasattr(self._own, "files"):
                self._own.files = self._open()
            return self._own.files
        with self._opening:
            if self._shared is None:
                self._shared = self._open()
        return self._shared

    def _open(self) -> Any:
        import fsspec
        from fsspec.config import conf

        given = conf.get("s3" if self.scheme == "s3" else "ssh", {}) | conf.get(self.scheme, {})
        try:
            options = self.protocol.options(given)
            files, root = fsspec.core.url_to_fs(self.url, skip_instance_cache=True, **options)
        except (TypeError, ValueError, ImportError) as error:
            raise RemoteError(
                f"The remote {self.name} cannot be opened: {self._message(error)}.",
                f"Correct the FSSPEC_{self.scheme.upper()} variables.",
            ) from error
        self.root = str(root).rstrip("/")
        return self.protocol.prepare(files)

    def _unavailable(self, reason: str) -> RemoteUnavailable:
        self._failure = self._failure or reason
        return RemoteUnavailable(
            f"The remote {self.name} is not available ({self._failure}).", "Check the remote, or unset TAPEOUT_REMOTE."
        )

    def _refused(self, error: Exception) -> RemoteRefused:
        return RemoteRefused(
            f"The remote {self.name} refuses the operation ({self._message(error)}).",
            "Correct credentials, permissions or free space there, or leave TAPEOUT_REMOTE_MODE read-only.",
        )

    def _message(self, error: Exception) -> str:
        """Return a library's error as one line, without the password of the URL."""
        message = f"{type(error).__name__}: {error}".splitlines()[0].strip(" .")
        return message.replace(self._password, "***") if self._password else message


def _append(part: IO[bytes], data: bytes) -> int:
    """Write to the local disk, whose errors are not the remote's; a nearly full disk may accept a part of the data."""
    with report_disk_errors(), written_file(Path(part.name)):
        write_all(part, data)
    return len(data)
