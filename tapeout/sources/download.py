"""Verified, resumable downloads into a content-addressed folder.

A finished file is ``<folder>/<sha256>``, a partial one ``<folder>/<sha256>.part`` (``git-<id>`` if only the git blob id
is known). Because the name is the hash, a partial file is never continued with another file's bytes, a finished file
serves every source that pins the same content, and processes that download the same file take turns (an advisory lock).
"""

import fcntl
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

import requests
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from tapeout.config.sources import RetryPolicy
from tapeout.progress import report
from tapeout.sources.errors import AccessDenied, SourceMissing, SourceUnreachable, WrongContent
from tapeout.sources.verified_copy import BLOCK, copy_hashed, published

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
TIMEOUT = (15, 60)
"""Seconds to connect, and between two reads."""

T = TypeVar("T")


class Transient(Exception):
    """Internal: a failure that may pass."""

    def __init__(self, reason: str, wait: float | None = None, cut: bool = False, limited: bool = False) -> None:
        """Describe the failure.

        Args:
            reason: what happened, as part of a sentence.
            wait: seconds that the server asks to wait (Retry-After), if it does.
            cut: the transfer had begun and broke off.
            limited: the server limits the number of requests.
        """
        super().__init__(reason)
        self.wait = wait
        self.cut = cut
        self.limited = limited

    def final(self, name: str) -> SourceUnreachable:
        """Return the error to raise after the last attempt."""
        return SourceUnreachable.of_limit(name, self.wait) if self.limited else SourceUnreachable.of(name, str(self))


def check_status(response: requests.Response, name: str) -> None:
    """Raise an error for a response that refuses the request.

    Raises:
        Transient: 429, 5xx and the like, with the server's Retry-After.
        SourceMissing: 404, 410.
        AccessDenied: 401, 403.
        SourceUnreachable: any other refusal.
    """
    status = response.status_code
    if status in TRANSIENT:
        raise Transient(f"the server answers {status}", wait=requested_wait(response.headers), limited=status == 429)
    if status in (404, 410):
        raise SourceMissing.of(name)
    if status in (401, 403):
        raise AccessDenied.of_status(name, status)
    if status >= 300:  # a redirect that is left has no address
        raise SourceUnreachable.of(name, f"the server answers {status}")


@dataclass(frozen=True)
class Remote:
    """One file to download.

    Attributes:
        url: address.
        name: name in messages.
        sha256: expected digest.
        size: expected bytes.
        headers: HTTP headers of the request.
        git_blob: expected git blob id if ``sha256`` is None.
        check: raises an error for a response that refuses the request, as ``check_status`` does.
    """

    url: str
    name: str
    sha256: str | None
    size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    git_blob: str | None = None
    check: Callable[[requests.Response, str], None] = check_status

    @property
    def key(self) -> str:
        """Name in the folder of downloads."""
        return self.sha256 or f"git-{self.git_blob}"

    def hash(self, size: int) -> "hashlib._Hash":
        """Return the new hash that identifies the file, if it has ``size`` bytes."""
        if self.sha256 is not None:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)

    def mismatch(self, digest: str) -> WrongContent | None:
        """Return the error that content with this digest is not the file; None if it is."""
        if digest == (self.sha256 or self.git_blob):
            return None
        if self.sha256 is not None:
            return WrongContent.of_hash(self.name, self.sha256, digest)
        return WrongContent.of_hash(self.name, str(self.git_blob), digest, "git blob id", "the pinned commit has")


def retried(request: Callable[[], T], name: str, policy: RetryPolicy | None = None) -> T:
    """Return the result of a request, retried while it raises ``Transient``.

    Raises:
        SourceUnreachable: every attempt failed.
    """
    try:
        return retrying(policy or RetryPolicy())(request)
    except Transient as error:
        raise error.final(name) from error


def retrying(policy: RetryPolicy) -> Retrying:
    """Return a retry loop for ``Transient``: exponential backoff, or the time that the server names."""

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, Transient) and (error.wait or 0) <= policy.max_server_wait

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        requested = error.wait if isinstance(error, Transient) else None
        backoff = min(policy.first_wait * 2.0 ** (state.attempt_number - 1), policy.max_wait)
        return requested if requested is not None else backoff

    def log(state: RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0.0
        reason = state.outcome.exception() if state.outcome else ""
        print(f"{reason}; trying again in {seconds:.0f} s", file=sys.stderr, flush=True)

    return Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_attempt(policy.attempts),
        wait=wait,
        before_sleep=log,
        reraise=True,
    )


def requested_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait: Retry-After, or the hub's RateLimit: "api";r=0;t=120."""
    seconds = retry_after(headers.get("Retry-After"))
    limit = re.search(r";\s*t=(\d+)", headers.get("RateLimit", ""))
    return float(limit[1]) if seconds is None and limit else seconds


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or an HTTP date; None if it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def fetch(remote: Remote, target: Path, folder: Path, policy: RetryPolicy | None = None) -> None:
    """Write the verified file to ``target``, from the folder of downloads if it is there, else from the network.

    The bytes of ``target`` are those that were hashed: they are hashed while they are copied.

    Raises:
        WrongContent: the content is not the pinned one; neither it nor a part of it is kept.
        SourceMissing, AccessDenied, SourceUnreachable: see their docstrings; a partial file is kept and resumed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    finished, part = folder / remote.key, folder / f"{remote.key}.part"
    with locked(folder / f"{remote.key}.lock"):
        if restored(remote, target, folder):
            return
        resumed = part.exists()
        if not (resumed and size_of(part) == remote.size):
            transfer_with_retries(remote, part, policy or RetryPolicy())
        wrong = copied(remote, part, target)
        if wrong is not None and resumed:  # the part may have been what is wrong
            part.unlink()
            transfer_with_retries(remote, part, policy or RetryPolicy())
            wrong = copied(remote, part, target)
        if wrong is not None:
            part.unlink()
            raise wrong
        part.rename(finished)


def restored(remote: Remote, target: Path, folder: Path) -> bool:
    """Write the verified file to ``target`` if the folder of downloads has it; a corrupt one is removed from there."""
    finished = folder / remote.key
    if not finished.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if copied(remote, finished, target) is None:
        return True
    finished.unlink()
    return False


def copied(remote: Remote, source: Path, target: Path) -> WrongContent | None:
    """Copy a file to ``target`` if it is the pinned one; return the error if it is not, and leave nothing then."""
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if remote.size is not None and size != remote.size:
            return WrongContent.of_size(remote.name, remote.size, size)
        with published(target) as copy:
            wrong = remote.mismatch(copy_hashed(file, copy, size, remote.hash(size)))
            if wrong is not None:
                copy.close()
    return wrong


def transfer_with_retries(remote: Remote, part: Path, policy: RetryPolicy) -> None:
    """Complete ``part``, with retries; see ``fetch`` for the errors."""
    try:
        retrying(policy)(transfer, remote, part)
    except Transient as error:
        if error.cut:
            raise SourceUnreachable.of_cut(remote.name, size_of(part), remote.size) from error
        raise error.final(remote.name) from error


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def transfer(remote: Remote, part: Path) -> None:
    """Make one attempt: append what is missing to ``part``.

    A server that ignores the range starts again from the first byte. Status 416 (the range starts at or after the end
    of the file) means that the part is complete or not of this file; its hash decides.

    Raises:
        Transient: the connection fails, or ends before the announced or pinned number of bytes.
        WrongContent: more bytes come than the record pins.
    """
    start = size_of(part)
    if remote.size is not None and start > remote.size:
        start = 0
    headers = {**remote.headers, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416 and start:
                return
            remote.check(response, remote.name)
            if not continues(response, start):
                start = 0
            write_body(response, remote, part, start)
    except ValueError as error:  # also of urllib, for an address of a redirect that it cannot take apart
        reason = "it is redirected to an address that is not a valid http or https address"
        raise SourceUnreachable.of(remote.name, reason) from error
    except requests.exceptions.TooManyRedirects as error:
        raise SourceUnreachable.of_loop(remote.name) from error
    except requests.RequestException as error:
        raise Transient(reason_of(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise Transient("the transfer broke off", cut=True) from error


def continues(response: requests.Response, start: int) -> bool:
    """Return whether the body continues a part of ``start`` bytes: status 206 with a range that begins there."""
    content_range = response.headers.get("Content-Range", "")
    return response.status_code == 206 and content_range.startswith(f"bytes {start}-")


def write_body(response: requests.Response, remote: Remote, part: Path, start: int) -> None:
    """Write the body to ``part`` from offset ``start`` and report progress; see ``transfer`` for the errors."""
    length = response.headers.get("Content-Length")
    announced = start + int(length) if length and length.isdecimal() else None
    if remote.size is not None and announced is not None and announced > remote.size:
        raise WrongContent.of_size(remote.name, remote.size, announced)
    total = remote.size or announced
    done, reported = start, time.monotonic()
    with part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        stream.truncate()
        while block := response.raw.read1(BLOCK, decode_content=False):  # unbuffered: an interruption loses nothing
            stream.write(block)
            done += len(block)
            if remote.size is not None and done > remote.size:
                stream.close()
                part.unlink()
                raise WrongContent.of_size(remote.name, remote.size, done)
            if time.monotonic() - reported > 0.5:
                reported = time.monotonic()
                report(done, total or done, file=remote.name)
    if total is not None and done < total:
        raise Transient("the transfer ended early", cut=True)
    report(done, done, file=remote.name)


def reason_of(error: requests.RequestException) -> str:
    """Return what happened in a few words and without the address, which may contain a password."""
    kinds = {
        requests.exceptions.SSLError: "the TLS certificate is not accepted",
        requests.exceptions.ProxyError: "the proxy does not answer",
        requests.exceptions.ConnectTimeout: "connecting takes too long",
        requests.exceptions.ReadTimeout: "the server does not answer",
        requests.exceptions.ConnectionError: "the connection failed",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), type(error).__name__)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive advisory lock on ``path``; the kernel releases it even if the process is killed."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
