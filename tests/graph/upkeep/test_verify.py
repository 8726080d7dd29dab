"""Verification and repair, where results, named runs and store are separate copies and where they are hard links.

``tests/cli`` tests the same on the command line, including the rebuild of what has no intact copy.
"""

import os
import shutil
from pathlib import Path

import pytest

from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import run_workspace, save
from tapeout.graph.upkeep.repair import repair
from tapeout.graph.upkeep.verify import Finding, verify
from tapeout.graph.workspace import Workspace
from tests.graph.folders import folder, make

TEXT = "some bytes\n" * 1000


def flip(path: Path) -> None:
    """Flip one bit, without a change of size or modification time."""
    info, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.chmod(info.st_mode)


def unlink_copies(path: Path) -> None:
    """Replace a hard link by a copy, as if the store were on another file system."""
    shutil.copy2(path, f"{path}.copy")
    os.replace(f"{path}.copy", path)


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """Two artifacts, the second also in a named run."""
    workspace = folder(tmp_path, tmp_path / "store")
    make(workspace, "raw", "raw")
    make(workspace, "made", TEXT, "raw")
    save(workspace, "run", pinned=False)
    return workspace


def stored(workspace: Workspace, manifest: Manifest | None) -> Path:
    assert manifest is not None
    return workspace.store.object_path(manifest.entries[0])


def intact(workspace: Workspace) -> bool:
    return not verify(workspace, [], deep=True) and workspace.artifact_path("made").read_text() == TEXT


def names(findings: list[Finding]) -> list[str]:
    return [finding.artifact for finding in findings]


def test_intact_workspace_has_no_findings_and_is_read_once(here: Workspace) -> None:
    calls: list[tuple[int, int]] = []
    assert verify(here, [], deep=True, progress=lambda done, total: calls.append((done, total))) == []
    assert calls[-1] == (len(TEXT) + 3, len(TEXT) + 3)  # results, run and store are one file
    assert verify(here, ["made@run"], deep=False) == []


def test_flipped_bit_is_found_only_by_reading(here: Workspace) -> None:
    flip(here.artifact_path("made"))
    assert verify(here, [], deep=False) == []
    assert names(verify(here, [], deep=True)) == ["made", "made@run"]
    assert names(verify(here, ["made"], deep=False)) == ["made"]  # found again without reading: it lost its sealed time
    repair(here, ["made", "made@run"])
    assert not intact(here)  # there is no other copy


@pytest.mark.parametrize("damaged", ["results", "runs", "store"])
def test_damaged_copy_is_repaired_from_an_intact_one(here: Workspace, damaged: str) -> None:
    copies = {
        "results": here.artifact_path("made"),
        "runs": run_workspace(here, "run").artifact_path("made"),
        "store": stored(here, here.manifest("made")),
    }
    for path in copies.values():
        unlink_copies(path)
    flip(copies[damaged])
    findings = verify(here, [], deep=True)
    assert {finding.path for finding in findings} == {str(copies[damaged])}
    assert {"results": ["made"], "runs": ["made@run"], "store": ["made", "made@run"]}[damaged] == names(findings)
    # the store's object is quarantined if it is the damaged copy, and only then
    assert copies["store"].exists() == (damaged != "store")
    repair(here, names(findings))
    assert intact(here)


def test_store_is_repaired_from_results(here: Workspace) -> None:
    manifest = here.manifest("made")
    path = stored(here, manifest)
    path.unlink()
    entry = here.store.action_path(manifest.action)  # type: ignore[union-attr]
    entry.write_text(entry.read_text().replace("made", "mode"))
    findings = verify(here, [], deep=False)
    assert {(finding.artifact, finding.path) for finding in findings} == {
        *(("", str(entry)), ("made", str(entry)), ("made", str(path))),
        *(("made@run", str(entry)), ("made@run", str(path))),
    }
    repair(here, ["made"])
    assert intact(here)


def test_missing_additional_and_special_files_are_reported(here: Workspace) -> None:
    made = here.artifact_path("made")
    made.unlink()
    (here.artifact_path("raw")).chmod(0o755)
    run = run_workspace(here, "run")
    run.manifest_path("raw").write_text("{}")
    findings = {finding.artifact: finding.problem for finding in verify(here, [], deep=False)}
    assert findings == {"made": "is missing", "raw": "has a different mode", "raw@run": "has no valid manifest"}
    made.mkdir()
    (made / "file").write_text("x")
    assert {finding.problem for finding in verify(here, ["made"], deep=False)} == {
        "is missing",
        "is not in the manifest",
    }
    made.joinpath("link").symlink_to("file")
    assert [finding.problem for finding in verify(here, ["made"], deep=False)] == [
        "contains something not a plain file"
    ]
    repair(here, ["made", "raw", "raw@run"])
    assert intact(here)
    assert verify(here, ["never"], deep=False) == [Finding("never", "", "has no valid manifest")]
