"""Fetching of packages, URLs and files, and the script of the rule."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tapeout.config.sources import Fetch, Record, RetryPolicy, Source
from tapeout.sources.errors import AccessDenied, SourceMissing, SourceUnreachable, WrongContent
from tests.sources.fetching import fetch_source
from tests.sources.server import FileServer, serve, sha256

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
QUICK = RetryPolicy(attempts=3, first_wait=0.01, max_wait=0.05)
WHEEL = b"a wheel, as far as anybody looks" * 100
NAME = "some_core-1.0-py3-none-any.whl"


def record(**values: object) -> Record:
    return TypeAdapter(Source).validate_python({"licence": "ISC", **values})


def archive(**changes: object) -> Record:
    values = {"package": "Some.Core", "version": "1.0", "file": NAME, "sha256": sha256(WHEEL), "size": len(WHEEL)}
    return record(kind="pypi", **{**values, **changes})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serve() as running:
        monkeypatch.setenv("PIP_INDEX_URL", f"{running.address}/simple/")
        running.files[f"/files/{NAME}"] = WHEEL
        running.files["/simple/some-core/"] = page(NAME, "some_core-1.0.tar.gz").encode()
        yield running


def page(*names: str, fragment: str = "") -> str:
    links = "".join(f'<a href="/files/{name}{fragment}">{name}</a>' for name in names)
    return f"<!DOCTYPE html><html><body>{links}</body></html>"


def test_an_archive_is_found_by_its_exact_name(server: FileServer, tmp_path: Path) -> None:
    fetch_source(archive(), tmp_path / "out", tmp_path / "downloads", QUICK)
    assert [file.name for file in (tmp_path / "out").iterdir()] == [NAME]
    assert (tmp_path / "out" / NAME).read_bytes() == WHEEL
    server.requests.clear()
    fetch_source(archive(), tmp_path / "again", tmp_path / "downloads", QUICK)
    assert server.requests == []


def test_the_index_is_retried(server: FileServer, tmp_path: Path) -> None:
    server.plans["/simple/some-core/"] = [503, 429]
    fetch_source(archive(), tmp_path / "out", tmp_path / "downloads", QUICK)
    server.plans["/simple/some-core/"] = [503] * 9
    with pytest.raises(SourceUnreachable, match="answers 503"):
        fetch_source(archive(), tmp_path / "more", tmp_path / "elsewhere", QUICK)


def test_a_missing_package_or_file_is_named(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match=r"some_core-2.0.whl of package Some.Core does not exist in the index"):
        fetch_source(archive(file="some_core-2.0.whl"), tmp_path / "a", tmp_path / "downloads", QUICK)
    with pytest.raises(SourceMissing, match=NAME):
        fetch_source(archive(file="some_core-1.0-py2.whl"), tmp_path / "b", tmp_path / "downloads", QUICK)
    with pytest.raises(SourceMissing, match="package nobody"):
        fetch_source(archive(package="nobody"), tmp_path / "c", tmp_path / "downloads", QUICK)


def test_a_closed_index_is_named(server: FileServer, tmp_path: Path) -> None:
    server.plans["/simple/some-core/"] = [401]
    with pytest.raises(AccessDenied, match="401"):
        fetch_source(archive(), tmp_path / "a", tmp_path / "downloads", QUICK)


def test_a_hash_that_the_index_announces_is_compared(server: FileServer, tmp_path: Path) -> None:
    server.files["/simple/some-core/"] = page(NAME, fragment=f"#sha256={'9' * 64}").encode()
    with pytest.raises(WrongContent, match="9" * 64):
        fetch_source(archive(), tmp_path / "a", tmp_path / "downloads", QUICK)
    assert [path for path, _, _ in server.requests] == ["/simple/some-core/"]


def test_an_address_that_is_not_an_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "file:///nowhere")
    with pytest.raises(SourceUnreachable, match="PIP_INDEX_URL"):
        fetch_source(archive(), tmp_path / "a", tmp_path / "downloads", QUICK)


@pytest.mark.parametrize(
    ("page_type", "content"),
    [
        ("application/json", b"{}"),
        ("application/vnd.pypi.simple.v1+json", b'{"meta": {}}'),
        ("application/vnd.pypi.simple.v1+json", b'{"meta": {"api-version": "9.0"}}'),
        ("text/html", b'<meta name="pypi:repository-version" content="9.0">'),
    ],
)
def test_a_page_that_is_not_of_an_index_is_named(
    server: FileServer, tmp_path: Path, page_type: str, content: bytes
) -> None:
    server.page_type, server.files["/simple/some-core/"] = page_type, content
    with pytest.raises(SourceUnreachable, match="PIP_INDEX_URL did not return"):
        fetch_source(archive(), tmp_path / "a", tmp_path / "downloads", QUICK)


def test_a_url_and_a_file(server: FileServer, tmp_path: Path) -> None:
    url = record(kind="url", url=f"{server.address}/files/{NAME}", file="core.zip", sha256=sha256(WHEEL))
    fetch_source(url, tmp_path / "url", tmp_path / "downloads", QUICK)
    assert (tmp_path / "url" / "core.zip").read_bytes() == WHEEL
    (tmp_path / "local.v").write_text("module m; endmodule")
    fetch_source(record(kind="file", path=str(tmp_path / "local.v")), tmp_path / "file", tmp_path / "downloads", QUICK)
    assert (tmp_path / "file" / "local.v").read_text() == "module m; endmodule"
    address = record(kind="url", url=(tmp_path / "local.v").as_uri(), file="x", sha256=sha256(b"module m; endmodule"))
    fetch_source(address, tmp_path / "address", tmp_path / "downloads", QUICK)
    assert (tmp_path / "address" / "x").read_text() == "module m; endmodule"
    pinned = record(kind="file", path=str(tmp_path / "local.v"), sha256="0" * 64)
    with pytest.raises(WrongContent):
        fetch_source(pinned, tmp_path / "pinned", tmp_path / "downloads", QUICK)
    with pytest.raises(SourceMissing):
        fetch_source(record(kind="file", path="no/such.v"), tmp_path / "none", tmp_path / "downloads", QUICK)


def run_script(source: Record, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "params.json").write_text(Fetch(record=source).model_dump_json())
    command = [sys.executable, "scripts/fetch.py", "--params", tmp_path / "params.json", "--output", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TAPEOUT_DOWNLOADS": str(tmp_path / "downloads")}
    environment["TAPEOUT_RUNNER"] = "1"
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_script_shows_progress(server: FileServer, tmp_path: Path) -> None:
    done = run_script(archive(), tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line.removeprefix("@progress ")) for line in done.stdout.splitlines()]
    assert lines[-1] == {"done": len(WHEEL), "total": len(WHEEL), "file": NAME}


def test_the_script_prints_cause_and_fix_without_a_traceback(server: FileServer, tmp_path: Path) -> None:
    done = run_script(archive(sha256="a" * 64), tmp_path)
    assert done.returncode == 1
    assert "WrongContent" in done.stderr
    assert "fix:" in done.stderr
    assert "Traceback" not in done.stderr
