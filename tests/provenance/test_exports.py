"""Content of exports: complete, equal on every machine, and without secrets."""

import json
import shutil
import socket
from pathlib import Path

import pytest

from tapeout.graph.identity.digest import canonical, digest_bytes, digest_file
from tapeout.graph.identity.environment import read_environment
from tapeout.provenance.checking import read_document
from tapeout.provenance.document import NAME, Document
from tapeout.provenance.folder import SUMS
from tests.graph.conftest import ALL, Project
from tests.provenance.conftest import ALL_FORMATS, SECRETS, Keys, tapeout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_document_has_every_action_upstream_of_the_report(document: Document, mini: Project) -> None:
    assert document.target == "report.txt" and sorted(document.manifests) == ALL
    assert {name: manifest.digest() for name, manifest in document.manifests.items()} == mini.digests()
    assert {digest_bytes(canonical(action)) for action in document.actions.values()} == set(document.actions)
    order = list(document.manifests)
    for name in order:
        assert all(order.index(item.artifact) < order.index(name) for _, item in document.step(name).each_input())
    for locked in document.environments:
        assert locked.digest == read_environment(locked.name, mini.root).digest
    assert document.configuration["model"]["schedule"] == {"warmup": 3, "decay": [1, 2]}


def test_code_and_report_are_included_and_nothing_else(signed: Path, document: Document, mini: Project) -> None:
    files = {file.path for file in document.code}
    for name in ("Snakefile", "rules/steps.smk", "lib/words.py", "envs/heavy.lock", "config.yaml", "src/data.txt"):
        assert name in files and (signed / "code" / name).read_bytes() == mini.path(name).read_bytes()
    assert {"tapeout/graph/store/store.py", "profiles/default/config.yaml", "config/exported.json"} <= files
    folders = {name.split("/")[0] for name in files if "/" in name}
    assert folders == {"config", "envs", "lib", "profiles", "rules", "scripts", "src", "tapeout"}
    assert not [name for name in files if "__pycache__" in name]
    assert (signed / "artifacts/report.txt").read_bytes() == mini.path("results/report.txt").read_bytes()
    assert not (signed / "artifacts/model").exists()


def test_sums_have_the_format_of_sha256sum(signed: Path) -> None:
    listed = {name: digest for digest, name in (line.split("  ") for line in (signed / SUMS).read_text().splitlines())}
    assert listed == {name: digest_file(signed / name) for name in contents(signed) if name != SUMS}


def test_equal_results_give_equal_bytes_in_any_folder(signed: Path, mini: Project, keys: Keys, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another" / "place"
    shutil.copytree(mini.root, elsewhere, symlinks=True)
    arguments = ("--also", "src/data.txt", *ALL_FORMATS, "--key", keys.private)
    tapeout(elsewhere, "export", tmp_path / "again.tar", *arguments, variables={"HOME": str(tmp_path), "USER": "bob"})
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(tmp_path / "again.tar", unpacked)
    assert contents(unpacked) == contents(signed)


def test_no_file_names_the_machine_or_the_user(signed: Path, mini: Project) -> None:
    words = [*SECRETS.values(), str(mini.root), str(mini.root.parent), mini.root.name, str(Path.cwd())]
    words += [socket.gethostname()] if len(socket.gethostname()) > 6 else []
    for name, data in contents(signed).items():
        assert not [word for word in words if word.encode() in data], name


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        ("config.yaml", "model:", "from: 'https://alice:hunter2@host/x'\nmodel:", "ExportRefused: configuration.from"),
        ("rules/steps.smk", "rule raw:", "# hf_thisIsNobodysBusiness\nrule raw:", "HF_TOKEN"),
        ("lib/words.py", "sorted(set", "sorted(list", "ExportRefused: report.txt cannot be exported: formatted.txt"),
        ("results/report.txt", "a", "b", "ExportRefused: report.txt cannot be exported: the one in results/"),
    ],
)
def test_exports_that_are_refused(mini: Project, tmp_path: Path, path: str, old: str, new: str, words: str) -> None:
    project = Project(Path(shutil.copytree(mini.root, tmp_path / "project", symlinks=True)))
    project.path(path).chmod(0o644)
    project.edit(path, old, new)
    done = tapeout(project.root, "export", tmp_path / "out", "--also", "src", expect=3, variables=SECRETS)
    assert words in done.stderr and "hunter2" not in done.stderr and SECRETS["HF_TOKEN"] not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]


def test_incomplete_code_is_refused(mini: Project, tmp_path: Path) -> None:
    done = tapeout(mini.root, "export", tmp_path / "out", expect=3)
    assert (
        "The exported files alone are not a readable workflow" in done.stderr
        and "src/data.txt" in done.stderr
        and "--also" in done.stderr
    )
    assert not list(tmp_path.iterdir())


def test_a_named_run_is_exported_if_the_current_code_built_it(mini: Project, tmp_path: Path) -> None:
    project = Project(Path(shutil.copytree(mini.root, tmp_path / "project", symlinks=True)))
    where = project.root / "runs"
    today = json.loads(project.path("results/report.txt.manifest.json").read_bytes())["action"]
    for name, action in (("today", today), ("before", "0" * 64)):
        (where / name).mkdir(parents=True)
        run = {"name": name, "named": "2026-11-22", "pinned": False, "artifacts": {"report.txt": action}}
        (where / name / "run.json").write_text(json.dumps(run))
    shutil.rmtree(project.root / "results")
    tapeout(project.root, "export", tmp_path / "out", "--also", "src", "--run", "today", "--with-artifacts")
    assert (tmp_path / "out/artifacts/report.txt").read_bytes() == mini.path("results/report.txt").read_bytes()
    assert (tmp_path / "out/artifacts/model/weights.txt").is_file()
    assert "another action" in tapeout(project.root, "export", tmp_path / "x", "--run", "before", expect=3).stderr


def test_the_report_is_the_target_that_is_built_from_all_others(mini: Project, tmp_path: Path) -> None:
    project = Project(Path(shutil.copytree(mini.root, tmp_path / "project", symlinks=True)))
    project.edit("Snakefile", 'artifact("report.txt"),', 'artifact("formatted.txt"),\n        artifact("report.txt"),')
    project.edit("Snakefile", "layer = Layer(", 'read_environment("heavy")\nlayer = Layer(')
    project.edit(
        "Snakefile", "from tapeout", "from tapeout.graph.identity.environment import read_environment\nfrom tapeout"
    )
    tapeout(project.root, "export", tmp_path / "whole", "--also", "src")
    assert read_document(tmp_path / "whole" / NAME).target == "report.txt"
    tapeout(project.root, "export", tmp_path / "part", "--also", "src", "--artifact", "formatted.txt")
    assert read_document(tmp_path / "part" / NAME).target == "formatted.txt"
