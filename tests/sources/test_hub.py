"""Hugging Face repositories, through huggingface_hub, with a local hub and its file storage."""

import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tapeout.config.sources import Fetch, RetryPolicy, Source
from tapeout.sources import download, errors, hub
from tapeout.sources.kinds._hub import HubSource
from tests.sources.fetching import fetch_source
from tests.sources.hub_server import COMMIT, OLDER, STRANGER, TOKEN, Hub, Repository, Request, serve_hub, sha256

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
QUICK = RetryPolicy(attempts=4, first_wait=0.01, max_wait=0.05)
WEIGHTS = random.Random(3).randbytes(400_000)
FILES = {"config.json": b'{"a": 1}\n', "onnx/weights part 1.bin": WEIGHTS}
LARGE = "onnx/weights part 1.bin"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with a model and a data set, and an empty home."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        running.repositories = {
            "models/owner/name": Repository(dict(FILES), large={LARGE}),
            "datasets/owner/rows": Repository(dict(FILES), large={LARGE}),
        }
        yield running


def record(kind: str = "hf_model", pinned: bool = True, **changes: object) -> HubSource:
    repository = "owner/name" if kind == "hf_model" else "owner/rows"
    files = [{"path": path, **({"sha256": sha256(content)} if pinned else {})} for path, content in FILES.items()]
    values = {"kind": kind, "repository": repository, "revision": COMMIT, "files": files, "licence": "MIT", **changes}
    source = TypeAdapter(Source).validate_python(values)
    assert isinstance(source, HubSource)
    return source


def fetch(source: HubSource, tmp_path: Path, policy: RetryPolicy = QUICK, out: str = "out") -> dict[str, bytes]:
    fetch_source(source, tmp_path / out, tmp_path / "downloads", policy)
    return {str(path.relative_to(tmp_path / out)): path.read_bytes() for path in (tmp_path / out).rglob("*.*")}


def downloaded(tmp_path: Path) -> set[str]:
    folder = tmp_path / "downloads"
    return {file.name for file in folder.iterdir() if file.suffix != ".lock"} if folder.exists() else set()


def path_of(file: str, kind: str = "hf_model") -> str:
    prefix = "owner/name" if kind == "hf_model" else "datasets/owner/rows"
    return f"/{prefix}/resolve/{COMMIT}/{file}"


STORED = f"/{sha256(WEIGHTS)}"
PATHS_INFO = f"/api/models/owner/name/paths-info/{COMMIT}"


@pytest.mark.parametrize("kind", ["hf_model", "hf_dataset"])
@pytest.mark.parametrize("pinned", [True, False])
def test_large_and_small_files_at_a_commit(
    server: Hub, tmp_path: Path, kind: str, pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN + "\n")
    assert fetch(record(kind, pinned), tmp_path) == FILES
    asked = [(request.server, request.method, request.path) for request in server.requests]
    name = "models/owner/name" if kind == "hf_model" else "datasets/owner/rows"
    assert asked == [
        ("hub", "POST", f"/api/{name}/paths-info/{COMMIT}"),
        ("hub", "GET", path_of("config.json", kind)),
        ("hub", "GET", path_of(LARGE, kind)),
        ("storage", "GET", STORED),
    ]
    assert server.tokens("hub") == {f"Bearer {TOKEN}"}
    assert server.tokens("storage") == {None}  # the redirect goes to another server, and carries no token
    assert sha256(WEIGHTS) in downloaded(tmp_path) and len(downloaded(tmp_path)) == 2


def test_downloaded_files_need_no_hub(server: Hub, tmp_path: Path) -> None:
    fetch(record(), tmp_path)
    server.requests.clear()
    assert fetch(record(), tmp_path, out="again") == FILES and server.requests == []
    # without a SHA-256 the hub is asked for the files of the commit, and nothing is transferred twice
    assert fetch(record(pinned=False, files=[{"path": LARGE}]), tmp_path, out="more") == {LARGE: WEIGHTS}
    assert [request.path for request in server.requests] == [PATHS_INFO]


def test_no_file_of_a_home_folder_is_read_or_written(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".cache/huggingface").mkdir(parents=True)
    (home / ".cache/huggingface/token").write_text("hf_login")
    (home / ".netrc").write_text("default login somebody password hf_login\n")
    before = sorted(home.rglob("*"))
    source = record(files=[{"path": LARGE}, {"path": "config.json"}])
    program = f"""
import sys
from pathlib import Path
from tapeout.config.sources import Fetch
from tapeout.sources.kinds._hub import HubSource
from tests.sources.fetching import fetch_source
fetch_source(Fetch.model_validate_json(sys.argv[1]).record, Path({str(tmp_path / "out")!r}), Path({str(tmp_path)!r}))
"""
    command = [sys.executable, "-c", program, Fetch(record=source).model_dump_json()]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert {request.token for request in server.requests} == {None}
    assert sorted(home.rglob("*")) == before
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch(source, tmp_path, out="more")
    assert server.tokens("hub") == {None, f"Bearer {TOKEN}"} and server.tokens("storage") == {None}


GATED = [
    (None, errors.AccessDenied, "is gated, and there is no token in HF_TOKEN", "Accept the licence at .*/owner/name"),
    (STRANGER, errors.AccessDenied, "the account of the token in HF_TOKEN has no access", "Accept the licence with"),
    ("hf_typo", errors.AccessDenied, "refuses the token", "mistyped, expired"),
]


@pytest.mark.parametrize(("token", "error", "cause", "fix"), GATED)
def test_a_gated_repository(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, error: type, cause: str, fix: str
) -> None:
    server.repositories["models/owner/name"].gated = True
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(error, match=cause) as caught:
        fetch(record(), tmp_path)
    assert re.search(fix, str(caught.value))
    assert "hf_" not in str(caught.value).replace("hf_model", "") and downloaded(tmp_path) == set()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert fetch(record(), tmp_path, out="granted") == FILES


@pytest.mark.parametrize(("token", "status"), [(None, 401), (STRANGER, 403)])
def test_a_hub_that_gates_its_answers_too(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, status: int
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    server.plans["/api/datasets/owner/rows/paths-info/" + COMMIT] = [(status, {"X-Error-Code": "GatedRepo"})]
    with pytest.raises(errors.AccessDenied, match=f"status {status}.*\n.*/datasets/owner/rows"):
        fetch(record("hf_dataset"), tmp_path)


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize(("status", "sent"), [(301, None), (302, OLDER), (307, None), (307, COMMIT), (308, OLDER)])
def test_a_repository_that_was_renamed_twice_is_followed(
    server: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pinned: bool,
    absolute: bool,
    status: int,
    sent: str | None,
) -> None:
    """The hub's last response decides: neither a redirect nor the file storage states the commit."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server.storage_headers = {"X-Repo-Commit": OLDER}
    headers = {"X-Repo-Commit": sent} if sent else {}
    for path in (PATHS_INFO, path_of("config.json"), path_of(LARGE)):
        for old, new in (("first/name", "second/name"), ("second/name", "owner/name")):
            location = path.replace("owner/name", new).replace(" ", "%20")
            there = server.address * absolute + location
            server.plans[path.replace("owner/name", old)] = [(status, {"Location": there, **headers})]
    assert fetch(record(repository="first/name", pinned=pinned), tmp_path) == FILES
    assert server.tokens("hub") == {f"Bearer {TOKEN}"} and server.tokens("storage") == {None}


@pytest.mark.parametrize("pinned", [True, False])
def test_only_the_hub_states_the_commit(server: Hub, tmp_path: Path, pinned: bool) -> None:
    server.commit = None
    server.storage_headers = {"X-Repo-Commit": COMMIT}
    source = record(pinned=pinned, files=[{"path": LARGE, **({"sha256": sha256(WEIGHTS)} if pinned else {})}])
    if pinned:
        assert fetch(source, tmp_path) == {LARGE: WEIGHTS}
    else:
        with pytest.raises(errors.WrongContent, match="without naming their commit"):
            fetch(source, tmp_path)


@pytest.mark.parametrize("path", [PATHS_INFO, path_of("config.json"), path_of(LARGE), STORED])
@pytest.mark.parametrize("loop", [True, False])
def test_redirects_that_lead_nowhere_are_named(server: Hub, tmp_path: Path, path: str, loop: bool) -> None:
    server.plans[path] = [(307, {"Location": path.replace(" ", "%20")} if loop else {})] * 40
    with pytest.raises(errors.SourceUnreachable, match="in a circle" if loop else "answers 307|Hub API response"):
        fetch(record(), tmp_path)
    assert len(server.plans[path]) in ((9, 10) if loop else (39,))  # not tried again


@pytest.mark.parametrize("path", [PATHS_INFO, path_of("config.json"), STORED])
@pytest.mark.parametrize("location", ["http://[bad/", "/\xe9", "http://:x/", "file:///etc/passwd"])
def test_redirects_to_what_is_no_address_are_named(server: Hub, tmp_path: Path, path: str, location: str) -> None:
    server.plans[path] = [(302, {"Location": location})] * 2
    with pytest.raises(errors.SourceUnreachable, match="redirected|must be an http"):
        fetch(record(), tmp_path)
    assert len(server.plans[path]) == 1  # not tried again


@pytest.mark.parametrize("name", ["a b (1).jsonl", "\u6570\u636e/a.jsonl", "a#b?.jsonl", "100%.jsonl", "a+b&c.jsonl"])
def test_odd_file_names(server: Hub, tmp_path: Path, name: str) -> None:
    server.repositories["models/owner/name"] = Repository({name: b"{}\n"})
    assert fetch(record(files=[{"path": name}]), tmp_path) == {name: b"{}\n"}


@pytest.mark.parametrize("token", [None, STRANGER])
def test_a_private_or_missing_repository(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    server.repositories["models/owner/name"].private = True
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    for repository in ("owner/name", "owner/none"):
        with pytest.raises(errors.SourceMissing, match=f"{repository}, or it is private"):
            fetch(record(repository=repository), tmp_path, out=repository.split("/")[1])


def test_a_missing_revision_or_file(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(errors.SourceMissing, match="The pinned revision does not exist in owner/name"):
        fetch(record(revision=OLDER), tmp_path, out="revision")
    with pytest.raises(errors.SourceMissing, match=r"The file gone.txt does not exist in owner/name at commit"):
        fetch(record(files=[{"path": "config.json"}, {"path": "gone.txt"}]), tmp_path, out="file")
    assert downloaded(tmp_path) == set()


@pytest.mark.parametrize("path", [PATHS_INFO, path_of(LARGE), STORED])
@pytest.mark.parametrize("header", [{"Retry-After": "1"}, {"RateLimit": '"resolvers";r=0;t=1'}])
def test_status_429_is_waited_for_as_the_server_asks(
    server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, header: dict[str, str]
) -> None:
    server.plans[path] = [(429, header)]
    before = time.monotonic()
    assert fetch(record(), tmp_path) == FILES
    assert 1.0 <= time.monotonic() - before < 4
    assert "the server answers 429; trying again in 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("path", [PATHS_INFO, path_of("config.json")])
def test_status_429_is_not_waited_for_without_bounds(server: Hub, tmp_path: Path, path: str) -> None:
    server.plans[path] = [(429, {"Retry-After": "3600"})]
    with pytest.raises(errors.SourceUnreachable, match="asks to wait 3,600 s"):
        fetch(record(), tmp_path, RetryPolicy())
    server.plans[path] = [(429, {})] * 9
    with pytest.raises(errors.SourceUnreachable, match="status 429"):
        fetch(record(), tmp_path, out="more")
    assert len(server.plans[path]) == 9 - QUICK.attempts


@pytest.mark.parametrize("path", [PATHS_INFO, path_of(LARGE), STORED])
def test_a_hub_that_fails_is_asked_again(server: Hub, tmp_path: Path, path: str) -> None:
    server.plans[path] = [(500, {}), (503, {})]
    assert fetch(record(), tmp_path) == FILES
    server.plans[path] = [(502, {})] * 9
    with pytest.raises(errors.SourceUnreachable, match="answers 502"):
        fetch_source(record(), tmp_path / "more", tmp_path / "elsewhere", QUICK)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_cut_transfer_is_resumed(server: Hub, tmp_path: Path, pinned: bool) -> None:
    server.plans[STORED] = [150_000, 50_000]
    server.plans[path_of("config.json")] = [4]
    assert fetch(record(pinned=pinned), tmp_path) == FILES
    ranges = [request.range for request in server.requests if request.server == "storage"]
    assert ranges == [None, "bytes=150000-", "bytes=200000-"]


def test_a_partial_transfer_is_kept_and_never_accepted(server: Hub, tmp_path: Path) -> None:
    server.plans[STORED] = [100_000, *[0] * 9]
    with pytest.raises(errors.SourceUnreachable, match="100,000 of 400,000 bytes"):
        fetch(record(files=[{"path": LARGE}]), tmp_path)
    assert downloaded(tmp_path) == {f"{sha256(WEIGHTS)}.part"} and not (tmp_path / "out" / LARGE).exists()
    server.plans.clear()
    server.requests.clear()
    assert fetch(record(), tmp_path, out="next") == FILES
    assert Request("storage", "GET", STORED, "bytes=100000-", None) in server.requests


@pytest.mark.parametrize(("file", "path"), [(LARGE, STORED), ("config.json", path_of("config.json"))])
@pytest.mark.parametrize("pinned", [True, False])
def test_wrong_bytes_are_refused(server: Hub, tmp_path: Path, file: str, path: str, pinned: bool) -> None:
    server.corrupt = {path}
    with pytest.raises(errors.WrongContent, match=file if pinned or file == LARGE else "git blob id"):
        fetch(record(pinned=pinned), tmp_path)
    assert not (tmp_path / "out" / file).exists()
    assert not any(name.endswith(".part") for name in downloaded(tmp_path))


def test_what_the_hub_announces_must_be_what_is_pinned(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(errors.WrongContent, match="as the hub announces it"):
        fetch(record(files=[{"path": LARGE, "sha256": "1" * 64}]), tmp_path)
    with pytest.raises(errors.WrongContent, match="as the hub announces it"):
        fetch(record(files=[{"path": LARGE, "size": 7}]), tmp_path, out="size")
    with pytest.raises(errors.WrongContent, match=r"config\.json has SHA-256"):  # the hub has no SHA-256 of small files
        fetch(record(files=[{"path": "config.json", "sha256": "1" * 64}]), tmp_path, out="small")
    assert {request.path for request in server.requests} == {PATHS_INFO, path_of("config.json")}


@pytest.mark.parametrize("commit", [OLDER, None])
def test_a_mirror_must_send_the_pinned_commit(server: Hub, tmp_path: Path, commit: str | None) -> None:
    server.commit = commit
    with pytest.raises(errors.WrongContent, match=commit or "without naming their commit"):
        fetch(record(pinned=False), tmp_path)
    if commit is None:  # where SHA-256 are pinned they decide
        assert fetch(record(), tmp_path, out="pinned") == FILES


def test_a_hub_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for endpoint, words in [(address, "connection failed"), ("ftp://nowhere", "HF_ENDPOINT must be")]:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        with pytest.raises(errors.SourceUnreachable, match=words):
            fetch(record(), tmp_path, out=words)


def test_a_hub_that_stops_before_the_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        running.repositories["models/owner/name"] = Repository(dict(FILES), large={LARGE})
        repository = hub.Repository("model", "owner/name", COMMIT)
        remotes = hub.locate(repository, record().files, tmp_path / "downloads", QUICK)
    with pytest.raises(errors.SourceUnreachable, match=r"config\.json cannot be reached: the connection failed"):
        download.fetch(remotes[0], tmp_path / "out", tmp_path / "downloads", QUICK)


def test_a_server_that_is_not_a_hub(server: Hub, tmp_path: Path) -> None:
    server.plans[PATHS_INFO] = [(200, {"Content-Type": "text/html"})]
    with pytest.raises(errors.SourceUnreachable, match="did not return a Hub API response"):
        fetch(record(), tmp_path)


@pytest.mark.parametrize("status", [404, 405])
def test_a_mirror_that_serves_files_only(server: Hub, tmp_path: Path, status: int) -> None:
    server.plans[PATHS_INFO] = [(status, {})] * 2
    assert fetch(record(), tmp_path) == FILES
    with pytest.raises(errors.SourceUnreachable, match="has no Hub API"):
        fetch(record(pinned=False), tmp_path, out="by commit")
    assert server.plans[PATHS_INFO] == []


def test_the_script_prints_cause_and_fix(server: Hub, tmp_path: Path) -> None:
    server.repositories["models/owner/name"].gated = True
    (tmp_path / "params.json").write_text(Fetch(record=record()).model_dump_json())
    command = [sys.executable, "scripts/fetch.py", "--params", tmp_path / "params.json", "--output", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TAPEOUT_DOWNLOADS": str(tmp_path / "downloads")}
    for more, words in (({}, "AccessDenied"), ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids it")):
        variables = {**environment, **more}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and words in done.stderr and "fix:" in done.stderr
        assert "Traceback" not in done.stderr
        (tmp_path / "out").rmdir()
