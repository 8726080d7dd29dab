"""Forged results and entries: a run ends with the right bytes, and no export signs what a rebuild would refute."""

import shutil
from pathlib import Path

from tapeout.graph.identity.manifest import Manifest
from tests.graph.conftest import Project, built
from tests.graph.folders import workspace_of
from tests.graph.store.test_authority import forge_entry, forge_result
from tests.provenance.conftest import Keys, tapeout

__all__ = ["built"]


def forge_report(project: Project, with_results: bool) -> Manifest:
    here = workspace_of(project)
    action = here.action("report.txt")
    return forge_result(here, "report.txt", action.digest) if with_results else forge_entry(here, action)


def test_no_forged_report_is_signed(built: Project, keys: Keys, tmp_path: Path) -> None:
    right = built.digests()
    signed = ("--also", "src", "--format", "slsa", "--key", keys.private)
    # a forged result with its manifest: what is in results/ cannot be exported, and the stored one is restored
    forged = forge_report(built, with_results=True)
    refused = tapeout(built.root, "export", tmp_path / "one", *signed, expect=3).stderr
    assert "ExportRefused: report.txt cannot be exported" in refused and not (tmp_path / "one").exists()
    run = built.run()
    assert run.restored == ["report.txt"] or run.nothing_done
    assert "! report.txt: the one in results/ is not what the store has" in run.text and built.digests() == right
    # a forged entry: this folder knows what it has built
    forged = forge_report(built, with_results=False)
    run = built.run()
    assert run.built == ["report.txt"] and built.digests() == right
    assert f"sha256:{forged.digest()}" in run.text and f"sha256:{right['report.txt']}" in run.text
    # where nothing but the store is left, a run cannot know; the store's journal has the build
    forge_report(built, with_results=False)
    shutil.rmtree(built.path("work"))
    shutil.rmtree(built.path("results"))
    assert built.run().built == [] and built.digests()["report.txt"] == forged.digest()
    refused = tapeout(built.root, "export", tmp_path / "one", *signed, expect=3).stderr
    assert "ExportRefused: report.txt is not reproducible, or forged" in refused
    # with a forged journal only a second build tells
    journal = workspace_of(built).store.root / "journal.jsonl"
    journal.write_text(journal.read_text().replace(right["report.txt"], forged.digest()))
    refused = tapeout(built.root, "export", tmp_path / "one", *signed, expect=3).stderr
    assert "ExportRefused: Only the store vouches for" in refused and "report.txt" in refused
    assert not (tmp_path / "one").exists()
    checked = tapeout(built.root, "rebuild", "--check", expect=1).stdout
    assert "report.txt is not reproducible" in checked
    refused = tapeout(built.root, "export", tmp_path / "one", *signed, expect=3).stderr
    assert "ExportRefused: report.txt is not reproducible, or forged" in refused
    assert f"sha256:{forged.digest()}" in refused and f"sha256:{right['report.txt']}" in refused
    refused = tapeout(built.root, "export", tmp_path / "two", "--also", "src", expect=3).stderr
    assert "ExportRefused: report.txt is not reproducible, or forged" in refused and not (tmp_path / "two").exists()


def test_random_numbers_upstream_are_not_exported(built: Project, tmp_path: Path) -> None:
    built.edit("scripts/model.py", "import time\n", "import os\nimport time\n")
    write = '(output / "weights.txt").write_text('
    built.edit("scripts/model.py", write, '(output / "id").write_bytes(os.urandom(8))\n' + write)
    built.run()
    assert "DIFFERS" in built.run("--forcerun", "model").text
    refused = tapeout(built.root, "export", tmp_path / "one", "--also", "src", expect=3).stderr
    assert "ExportRefused: model is not reproducible" in refused and "tapeout rebuild model --check" in refused
    built.edit("scripts/model.py", "os.urandom(8)", "bytes(8)")
    built.run()
    tapeout(built.root, "export", tmp_path / "one", "--also", "src")
