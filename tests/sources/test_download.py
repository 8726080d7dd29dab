"""Downloads from a real server: resume, verification, retries and named errors."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeout.config.sources import RetryPolicy
from tapeout.sources.download import Remote, copied, fetch, retry_after
from tapeout.sources.errors import AccessDenied, SourceMissing, SourceUnreachable, WrongContent
from tests.sources.server import FileServer, serve, sha256

pytestmark = pytest.mark.environment("data")

CONTENT = random.Random(7).randbytes(300_000)
QUICK = RetryPolicy(attempts=4, first_wait=0.01, max_wait=0.05)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve() as running:
        running.files["/data.bin"] = CONTENT
        yield running


def remote(server: FileServer, **changes: object) -> Remote:
    values = {
        "url": f"{server.address}/data.bin",
        "name": "data.bin",
        "sha256": sha256(CONTENT),
        "size": len(CONTENT),
        **changes,
    }
    return Remote(**values)  # type: ignore[arg-type]


def downloaded(folder: Path) -> set[str]:
    """Names in the downloads folder, locks aside."""
    return {file.name for file in folder.iterdir() if file.suffix != ".lock"} if folder.exists() else set()


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_file_arrives_and_is_used_again_without_the_network(
    server: FileServer, tmp_path: Path, size: int | None
) -> None:
    wanted = remote(server, size=size)
    fetch(wanted, tmp_path / "a", tmp_path / "downloads", QUICK)
    fetch(wanted, tmp_path / "b", tmp_path / "downloads", QUICK)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert downloaded(tmp_path / "downloads") == {sha256(CONTENT)}


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_broken_transfer_resumes_where_it_stopped(server: FileServer, tmp_path: Path, size: int | None) -> None:
    server.plans["/data.bin"] = [("cut", 100_000), ("cut", 50_000)]
    fetch(remote(server, size=size), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [wanted for _, wanted, _ in server.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_the_next_run_resumes_what_this_one_left(server: FileServer, tmp_path: Path) -> None:
    server.plans["/data.bin"] = [("cut", 100_000), *[("cut", 0)] * 3]
    with pytest.raises(SourceUnreachable, match="100,000 of 300,000 bytes"):
        fetch(remote(server), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert downloaded(tmp_path / "downloads") == {f"{sha256(CONTENT)}.part"}
    server.requests.clear()
    fetch(remote(server), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert [wanted for _, wanted, _ in server.requests] == ["bytes=100000-"]
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.plans["/data.bin"] = [("cut", 100_000)]
    fetch(remote(server), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [100_000, 300_000, 400_000])
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_corrupt_partial_file_is_downloaded_once_more(
    server: FileServer, tmp_path: Path, length: int, size: int | None
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / f"{sha256(CONTENT)}.part").write_bytes(b"x" * length)
    fetch(remote(server, size=size), tmp_path / "a", folder, QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_part_that_was_complete_needs_no_network(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / f"{sha256(CONTENT)}.part").write_bytes(CONTENT)
    fetch(remote(server), tmp_path / "a", folder, QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.requests == []
    assert downloaded(folder) == {sha256(CONTENT)}


def test_a_corrupt_finished_file_is_fetched_again(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / sha256(CONTENT)).write_bytes(CONTENT[:-1] + b"?")
    fetch(remote(server), tmp_path / "a", folder, QUICK)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_what_is_published_is_what_was_hashed(server: FileServer, tmp_path: Path) -> None:
    """A file that is damaged and repaired all the time, also while it is hashed and copied."""
    source, target = tmp_path / "source", tmp_path / "out/a"
    source.write_bytes(CONTENT)
    target.parent.mkdir()
    ended = threading.Event()

    def damage() -> None:
        with source.open("r+b") as file:
            while not ended.is_set():
                for byte in (b"?", CONTENT[-1:]):
                    file.seek(len(CONTENT) - 1)
                    file.write(byte)
                    file.flush()

    thread = threading.Thread(target=damage)
    thread.start()
    try:
        for _ in range(100):
            wrong = copied(remote(server), source, target)
            assert (wrong is None) == target.exists()
            if target.exists():
                assert target.read_bytes() == CONTENT
                target.unlink()
            assert not list(target.parent.iterdir())
    finally:
        ended.set()
        thread.join(10)


def test_a_larger_file_than_pinned_is_stopped_at_once(server: FileServer, tmp_path: Path) -> None:
    for size in (1, len(CONTENT) - 1):
        with pytest.raises(WrongContent, match=f"{len(CONTENT):,}"):
            fetch(remote(server, size=size), tmp_path / "a", tmp_path / "downloads", QUICK)
        assert downloaded(tmp_path / "downloads") == set() and not (tmp_path / "a").exists()
    assert len(server.requests) == 2


def test_a_wrong_hash_is_named_and_nothing_remains(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(WrongContent) as caught:
        fetch(remote(server, sha256="0" * 64), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert "0" * 64 in str(caught.value)
    assert sha256(CONTENT) in str(caught.value)
    assert not (tmp_path / "a").exists()
    assert downloaded(tmp_path / "downloads") == set()


def test_more_bytes_than_pinned_are_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(WrongContent, match="says 1,000"):
        fetch(remote(server, size=1_000), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert downloaded(tmp_path / "downloads") == set()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_transient_refusals_are_retried(server: FileServer, tmp_path: Path, status: int) -> None:
    server.plans["/data.bin"] = [status, status]
    fetch(remote(server), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert len(server.requests) == 3


def test_the_server_says_how_long_to_wait(server: FileServer, tmp_path: Path) -> None:
    server.plans["/data.bin"] = [("retry", 429, 1)]
    before = time.monotonic()
    fetch(remote(server), tmp_path / "a", tmp_path / "downloads", RetryPolicy(attempts=2, first_wait=0.01, max_wait=5))
    assert 1.0 <= time.monotonic() - before < 4


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") is None and retry_after("\xb2") is None
    assert retry_after(None) is None


@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceMissing), (410, SourceMissing), (401, AccessDenied), (403, AccessDenied)]
)
def test_permanent_refusals_are_not_retried(server: FileServer, tmp_path: Path, status: int, error: type) -> None:
    server.plans["/data.bin"] = [status] * 5
    with pytest.raises(error, match=r"data\.bin"):
        fetch(remote(server), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert len(server.requests) == 1


def test_retries_end(server: FileServer, tmp_path: Path) -> None:
    server.plans["/data.bin"] = [503] * 9
    with pytest.raises(SourceUnreachable, match="answers 503"):
        fetch(remote(server), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert len(server.requests) == QUICK.attempts


def test_no_server_answers(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    wanted = Remote(f"http://user:secret@127.0.0.1:{port}/data.bin", "data.bin", "0" * 64)
    with pytest.raises(SourceUnreachable) as caught:
        fetch(wanted, tmp_path / "a", tmp_path / "downloads", QUICK)
    assert "secret" not in str(caught.value)


def test_two_at_once_download_once(server: FileServer, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=fetch, args=(remote(server), tmp_path / str(number), tmp_path / "downloads", QUICK))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((tmp_path / str(number)).read_bytes() == CONTENT for number in range(4))
    assert len(server.requests) == 1
