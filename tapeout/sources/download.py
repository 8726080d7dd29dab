"""Verified, resumable downloads into a folder that is addressed by content.

A finished file is ``<folder>/<sha256>``, an unfinished one ``<folder>/<sha256>.part`` (``git-<id>`` where the id as
a git blob is all that is known). Because the name is the hash, a part is never continued with another file's bytes, a
finished file serves every source that pins the same content, and two processes that want the same file take turns (an
advisory lock) instead of writing into each other.
"""

import fcntl
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from tapeout.progress import report
from tapeout.sources.errors import (
    AccessDenied,
    RateLimited,
    SourceMissing,
    SourceUnreachable,
    TruncatedTransfer,
    WrongHash,
    WrongSize,
)

BLOCK = 1 << 20
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
TIMEOUT = (15, 60)
"""Seconds to connect, and between two reads."""


class Transient(Exception):
    """A failure that may pass: raised inside, never seen outside.

    Args:
        reason: what happened, as part of a sentence.
        wait: seconds that the server asks us to wait (Retry-After), if it does.
        cut: the transfer had begun and broke off.
        limited: the server limits how much we may ask.
    """

    def __init__(self, reason: str, wait: float | None = None, cut: bool = False, limited: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.cut = cut
        self.limited = limited

    def named(self, what: str) -> RateLimited | SourceUnreachable:
        """The error that is told in the end."""
        return RateLimited(what, self.wait) if self.limited else SourceUnreachable(what, str(self))


def check_status(response: requests.Response, what: str) -> None:
    """Turn a refusing answer into an error.

    Raises:
        Transient: 429, 5xx and the like, with the server's Retry-After.
        SourceMissing: 404, 410.
        AccessDenied: 401, 403.
        SourceUnreachable: any other refusal.
    """
    status = response.status_code
    if status in TRANSIENT:
        raise Transient(f"the server answers {status}", wait=asked_wait(response.headers), limited=status == 429)
    if status in (404, 410):
        raise SourceMissing(what)
    if status in (401, 403):
        raise AccessDenied(what, status)
    if status >= 400:
        raise SourceUnreachable(what, f"the server answers {status}")


@dataclass(frozen=True)
class Remote:
    """One file to fetch: where it is, what it must be, and what people call it.

    Attributes:
        git_blob: what it must be where ``sha256`` is None: its id as a git blob.
        check: turns a refusing answer into an error, as ``check_status`` does.
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
        """Its name in the folder of downloads."""
        return self.sha256 or f"git-{self.git_blob}"

    def mismatch(self, path: Path) -> WrongHash | None:
        """The error that a file is not this one; None if it is."""
        if self.sha256 is not None:
            actual = sha256_of(path)
            return None if actual == self.sha256 else WrongHash(self.name, self.sha256, actual)
        blob = git_blob_of(path)
        if blob == self.git_blob:
            return None
        return WrongHash(self.name, str(self.git_blob), blob, "git blob id", "the pinned commit has")


@dataclass(frozen=True)
class Patience:
    """How often and how long to retry.

    Attributes:
        tries: how often in all.
        first: seconds to the second try; they double from one try to the next.
        longest: seconds at most, where the server does not say.
        asked: seconds at most that a server may ask us to wait (the hub counts requests in windows of five minutes).
    """

    tries: int = 6
    first: float = 1.0
    longest: float = 60.0
    asked: float = 330.0


def downloads_folder() -> Path:
    """The folder of downloads: TAPEOUT_DOWNLOADS, or the user's cache."""
    given = os.environ.get("TAPEOUT_DOWNLOADS")
    return Path(given) if given else Path.home() / ".cache" / "tapeout" / "downloads"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_blob_of(path: Path) -> str:
    """Id of a file as git keeps it: SHA-1 of a header with its size, and its bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def retrying(patience: Patience) -> Retrying:
    """Retry on ``Transient``: exponential backoff, or as long as the server asks, if that is within ``patience``."""

    def passes(error: BaseException) -> bool:
        return isinstance(error, Transient) and (error.wait or 0) <= patience.asked

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, Transient) else None
        backoff = min(patience.first * 2.0 ** (state.attempt_number - 1), patience.longest)
        return asked if asked is not None else backoff

    def say(state: RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0.0
        reason = state.outcome.exception() if state.outcome else ""
        print(f"{reason}; trying again in {seconds:.0f} s", file=sys.stderr, flush=True)

    return Retrying(
        retry=retry_if_exception(passes),
        stop=stop_after_attempt(patience.tries),
        wait=wait,
        before_sleep=say,
        reraise=True,
    )


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: Retry-After, or as the hub says it, RateLimit: "api";r=0;t=120."""
    asked = retry_after(headers.get("Retry-After"))
    limit = re.search(r";\s*t=(\d+)", headers.get("RateLimit", ""))
    return float(limit[1]) if asked is None and limit else asked


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds a number or an HTTP date; None where it holds neither."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def fetch(remote: Remote, target: Path, folder: Path, patience: Patience | None = None) -> None:
    """Write the verified file to ``target``, from the folder of downloads if it is there, else from the network.

    Raises:
        WrongHash, WrongSize: the content is not the pinned one; neither it nor a part of it is kept.
        SourceMissing, AccessDenied, RateLimited, SourceUnreachable, TruncatedTransfer: as named, and what the check of
            ``remote`` raises; a part is kept and resumed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if remote.url.startswith("file:"):
        copy_verified(Path(url2pathname(urlsplit(remote.url).path)), target, remote.sha256)
        return
    folder.mkdir(parents=True, exist_ok=True)
    finished = folder / remote.key
    with locked(folder / f"{remote.key}.lock"):
        if not is_finished(folder, remote):
            download(remote, finished, patience or Patience())
        shutil.copyfile(finished, target)


def is_finished(folder: Path, remote: Remote) -> bool:
    """Whether the folder of downloads has this file; one that has rotted is removed."""
    finished = folder / remote.key
    if not finished.exists():
        return False
    if remote.mismatch(finished) is None:
        return True
    finished.unlink()
    return False


def copy_verified(source: Path, target: Path, sha256: str | None) -> str:
    """Copy a local file, check the copy, and return its SHA-256.

    Raises:
        SourceMissing: there is no such file.
        WrongHash: the copy's hash is not ``sha256``; the copy is removed.
    """
    if not source.is_file():
        raise SourceMissing(f"The file {source}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    actual = sha256_of(target)
    if sha256 is not None and actual != sha256:
        target.unlink()
        raise WrongHash(f"The file {source}", sha256, actual)
    return actual


def download(remote: Remote, finished: Path, patience: Patience) -> None:
    """Download to ``finished``, resuming its part; a part that turns out wrong gets one fresh start."""
    part = finished.with_name(finished.name + ".part")
    resumed = part.exists()
    if not (resumed and size_of(part) == remote.size):
        transfer_with_retries(remote, part, patience)
    wrong = remote.mismatch(part)
    if wrong is not None and resumed:
        part.unlink()
        transfer_with_retries(remote, part, patience)
        wrong = remote.mismatch(part)
    if wrong is not None:
        part.unlink()
        raise wrong
    part.rename(finished)


def transfer_with_retries(remote: Remote, part: Path, patience: Patience) -> None:
    """Complete ``part``, with retries; see ``fetch`` for the errors."""
    try:
        retrying(patience)(transfer, remote, part)
    except Transient as error:
        if error.cut:
            raise TruncatedTransfer(remote.name, size_of(part), remote.size) from error
        raise error.named(remote.name) from error


def size_of(path: Path) -> int:
    """Size of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def transfer(remote: Remote, part: Path) -> None:
    """One try: append what is missing to ``part``, from its present end.

    A server that ignores the range starts again from the first byte. A range that starts at or behind the end of the
    file (status 416) means that the part was complete, or is not of this file: its hash will tell.

    Raises:
        Transient: the connection fails, or ends before the announced or pinned number of bytes.
        WrongSize: more bytes come than the record pins.
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
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise SourceUnreachable(remote.name, "it is sent to an address that is neither http nor https") from error
    except requests.RequestException as error:
        raise Transient(reason_of(error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise Transient("the transfer broke off", cut=True) from error


def continues(response: requests.Response, start: int) -> bool:
    """Whether the body continues a part of ``start`` bytes: status 206 with a range that begins there."""
    given = response.headers.get("Content-Range", "")
    return response.status_code == 206 and given.startswith(f"bytes {start}-")


def write_body(response: requests.Response, remote: Remote, part: Path, start: int) -> None:
    """Write the body to ``part`` from offset ``start``, showing progress; see ``transfer`` for the errors."""
    length = response.headers.get("Content-Length")
    total = remote.size or (start + int(length) if length and length.isdigit() else None)
    done, shown = start, time.monotonic()
    with part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        stream.truncate()
        while block := response.raw.read1(BLOCK, decode_content=False):  # as it comes: a break loses nothing
            stream.write(block)
            done += len(block)
            if remote.size is not None and done > remote.size:
                stream.close()
                part.unlink()
                raise WrongSize(remote.name, remote.size, done)
            if time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                report(done, total or done, file=remote.name)
    if total is not None and done < total:
        raise Transient("the transfer ended early", cut=True)
    report(done, done, file=remote.name)


def reason_of(error: requests.RequestException) -> str:
    """What happened, in a few words and without the address (which may hold a password)."""
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
    """Hold an exclusive advisory lock on ``path`` (released by the kernel even if the process is killed)."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
