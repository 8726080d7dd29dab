"""Pinned sources of an export: fetched by the graph's own rule, and refused if their bytes differ.

Needs the environment of that rule (``make environments``).
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.config.root import Settings
from tapeout.provenance.checking import read_document
from tapeout.provenance.code import check_sources
from tapeout.provenance.document import NAME
from tapeout.provenance.errors import ExportRefused
from tests.graph.conftest import ROOT, Project
from tests.provenance.conftest import tapeout
from tests.sources.server import FileServer, serve, sha256


@dataclass
class Exported:
    """An exported project, and the server that has two of its sources."""

    project: Project
    export: Path
    server: FileServer


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """Export a project with a local file, a local folder, two sources with a URL, and one that is not used."""
    root = tmp_path_factory.mktemp("sources") / "project"
    shutil.copytree(Path(__file__).parent / "project", root)
    for name in ("profiles/default", "tapeout"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("rules/sources.smk", "scripts/fetch.py", "envs/data.lock", "envs/data.yaml"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / ".envs").symlink_to(ROOT / ".envs")
    with serve() as server:
        records: dict[str, dict[str, Any]] = {"unused": {"kind": "file", "path": "/of/nobody", "licence": "secret"}}
        for name, content in (("far", b"far away\n"), ("far-too", b"also far\n")):
            server.files[f"/{name}"] = content
            address = {"kind": "url", "url": f"{server.address}/{name}", "file": name, "sha256": sha256(content)}
            records[name] = {**address, "licence": "MIT"}
        (root / "data/near-too").mkdir(parents=True)
        (root / "data/near.txt").write_text("near\n")
        (root / "data/near-too/near-too.txt").write_text("near-too\n")
        (root / "data/near-too/excluded").write_text("nobody's business\n")
        near_too = {"kind": "folder", "path": "data/near-too", "include": ["*.txt"]}
        records["near"] = {"kind": "file", "path": "data/near.txt", "licence": "Apache-2.0"}
        records["near-too"] = {**near_too, "licence": "Apache-2.0"}
        (root / "sources.yaml").write_text(yaml.safe_dump(records))
        project = Project(root)
        project.run()
        export = root.parent / "export"
        arguments = ("--format", "slsa", "--unsigned", "--format", "rocrate", "--date", "2026-11-22")
        tapeout(root, "export", export, *arguments, variables={"TAPEOUT_DOWNLOADS": str(root.parent / "own")})
        yield Exported(project, export, server)


def reproduce(exported: Exported, tmp_path: Path, expect: int) -> str:
    """Reproduce with installed environments and an own folder of downloads, and return the output."""
    arguments = ("--unsigned", "--environments", ROOT / ".envs", "--folder", tmp_path / "again")
    variables = {"TAPEOUT_DOWNLOADS": str(tmp_path / "downloads")}
    done = tapeout(tmp_path, "reproduce", exported.export, *arguments, expect=expect, variables=variables)
    return done.stdout + done.stderr


def test_used_sources_are_exported_with_hashes_and_licences(exported: Exported) -> None:
    document = read_document(exported.export / NAME)
    assert {source.artifact: source.licence for source in document.sources} == {
        **dict.fromkeys(("sources/far", "sources/far-too"), "MIT"),
        **dict.fromkeys(("sources/near", "sources/near-too"), "Apache-2.0"),
    }
    assert (exported.export / "code/data/near.txt").read_text() == "near\n"
    assert [file.name for file in (exported.export / "code/data/near-too").iterdir()] == ["near-too.txt"]
    assert not (exported.export / "code/sources.yaml").exists()
    pinned = json.loads((exported.export / "code/config/exported-sources.json").read_bytes())
    assert pinned["near"]["sha256"] == sha256(b"near\n") and "unused" not in pinned
    assert document.resolved is not None and document.resolved["sft"]["seed"] is not None
    crate = json.loads((exported.export / "ro-crate-metadata.json").read_bytes())
    assert {e["license"] for e in crate["@graph"] if e["@id"].startswith("#source/")} == {"MIT", "Apache-2.0"}


def test_the_export_is_reproduced_from_its_sources(exported: Exported, tmp_path: Path) -> None:
    assert "Verdict: identical" in reproduce(exported, tmp_path, 0)
    assert (tmp_path / "again/results/sources/far/far").read_bytes() == b"far away\n"


def test_a_source_with_other_bytes_is_refused(exported: Exported, tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / sha256(b"far away\n")).write_bytes(b"rotten\n")  # in the cache under the right name
    exported.server.files["/far"] = b"far astray\n"
    output = reproduce(exported, tmp_path, 3)
    exported.server.files["/far"] = b"far away\n"
    assert "ReproductionFailed: sources/far: WrongContent" in output and sha256(b"far away\n") in output
    assert not (tmp_path / "again/verdict.html").exists()


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "file", "path": "/data/rows.jsonl"},
        {"kind": "file", "path": "../rows.jsonl"},
        {"kind": "folder", "path": "../texts"},
        {"kind": "url", "url": "file:///data/rows.jsonl", "file": "rows.jsonl", "sha256": "0" * 64},
    ],
)
def test_a_source_of_this_machine_only_is_not_exported(
    record: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/rows.jsonl").touch()
    corpus = {"domain": {"train": ["rows"], "test": ["more"]}, "general": {"names": ["prose"]}}
    inside = {"kind": "file", "path": "data/./rows.jsonl", "licence": "MIT"}
    sources = {"rows": inside, "more": inside, "prose": inside}
    wanted = {"sources": sources, "corpus": corpus, "tokenizer": {"source": "rows"}}
    check_sources(Settings.model_validate(wanted))
    sources["rows"] = {**record, "licence": "MIT"}
    with pytest.raises(ExportRefused, match="rows"):
        check_sources(Settings.model_validate(wanted))
