"""The printed record of a repository is valid, and its files can be fetched."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tapeout.config.sources import RetryPolicy
from tapeout.sources.errors import SourceMissing, SourceUnreachable
from tapeout.sources.kinds.hf_dataset import Source as HubSource
from tapeout.sources.pin import pinned
from tests.sources.fetching import fetch_source
from tests.sources.hub_server import COMMIT, Hub, Repository, serve_hub, sha256

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
QUICK = RetryPolicy(attempts=3, first_wait=0.01, max_wait=0.05)
ROWS = b'{"text": "row"}\n' * 1000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        files = {"rows.jsonl.gz": ROWS, "README.md": b"# Rows\n"}
        running.repositories["datasets/Owner/Rows_1"] = Repository(files, large={"rows.jsonl.gz"})
        yield running


def test_a_branch_becomes_a_commit(server: Hub, tmp_path: Path) -> None:
    record = pinned("hf_dataset:Owner/Rows_1", "main", [], QUICK)
    assert record == {
        "kind": "hf_dataset",
        "repository": "Owner/Rows_1",
        "revision": COMMIT,
        "licence": "apache-2.0",
        "files": [{"path": "README.md", "size": 7}, {"path": "rows.jsonl.gz", "sha256": sha256(ROWS), "size": 16000}],
    }
    fetch_source(HubSource.model_validate(record), tmp_path / "out", tmp_path / "downloads", QUICK)
    assert (tmp_path / "out" / "rows.jsonl.gz").read_bytes() == ROWS


def test_patterns_take_files(server: Hub) -> None:
    assert [file["path"] for file in pinned("hf_dataset:Owner/Rows_1", "main", ["*.gz"], QUICK)["files"]] == [
        "rows.jsonl.gz"
    ]
    with pytest.raises(SourceMissing, match=r"\*.parquet does not exist in Owner/Rows_1; it has README.md, rows"):
        pinned("hf_dataset:Owner/Rows_1", "main", ["*.parquet"], QUICK)


def test_a_source_that_cannot_be_pinned_is_named(server: Hub) -> None:
    for source in ("Owner/Rows_1", "pypi:rows", "hf_model:a/b/c", "hf_model:"):
        with pytest.raises(SourceMissing, match="is not a repository"):
            pinned(source, "main", [], QUICK)
    with pytest.raises(SourceMissing, match="Owner/Rows_1"):
        pinned("hf_model:Owner/Rows_1", "main", [], QUICK)
    with pytest.raises(SourceMissing, match="revision"):
        pinned("hf_dataset:Owner/Rows_1", "dev", [], QUICK)
    server.plans["/api/datasets/Owner/Rows_1/revision/main"] = [(429, {"Retry-After": "900"})]
    with pytest.raises(SourceUnreachable, match="900 s"):
        pinned("hf_dataset:Owner/Rows_1", "main", [], QUICK)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tapeout.sources.pin", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)


def test_what_is_printed_is_a_sources_file(server: Hub) -> None:
    done = run("hf_dataset:Owner/Rows_1", "--file", "*.gz")
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    assert list(found) == ["rows_1"] and HubSource.model_validate(found["rows_1"]).revision == COMMIT
    as_json = run("hf_dataset:Owner/Rows_1", "--file", "*.gz", "--json", "--name", "mine")
    assert json.loads(as_json.stdout) == {"mine": found["rows_1"]}
    done = run("hf_model:Owner/None")
    assert done.returncode == 1 and "SourceMissing" in done.stderr and "Traceback" not in done.stderr
