"""``tapeout reproduce``: from an export to a verdict, in an empty folder."""

import json
import shutil
import socket
import sys
from pathlib import Path

from tapeout.compare.file_comparison import Level
from tapeout.config.comparison import Bounds
from tapeout.graph.identity.digest import digest_value
from tapeout.graph.identity.installation import complete
from tapeout.provenance.checking import read_document
from tapeout.provenance.document import NAME, Document
from tapeout.provenance.verdict import Verdict, judge
from tests.graph.conftest import ALL, Project, make_project
from tests.provenance.conftest import Keys, tapeout

UNSTEADY = """
from random import random
(output / "log.json").write_text(json.dumps({"loss": 2.5 + random() / 1e6}))
"""


HOSTILE = """
import json, os, socket

found = [name for name, value in os.environ.items() if "secret of the variable" in value]
for name, path, mode in (("file", "{outside}/secret", "r"), ("planted", "{outside}/planted", "w")):
    try:
        open(path, mode).close()
        found.append(name)
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", {port}), 5).close()
    found.append("network")
except OSError:
    pass
with open("found.json", "w") as file:
    json.dump(found, file)
print("\\x1b]0;title\\x07")
"""


def test_an_export_is_reproduced_in_an_empty_folder(signed: Path, mini: Project, keys: Keys, tmp_path: Path) -> None:
    arguments = ("--public-key", keys.public, "--environments", mini.root / ".envs", "--json")
    # a store that has everything must have no effect
    variables = {"TAPEOUT_STORE": str(mini.root / "store"), "SNAKEMAKE_PROFILE": "none"}
    done = tapeout(tmp_path, "reproduce", signed, *arguments, variables=variables)
    result = json.loads(done.stdout)
    assert result["verdict"] == "identical" and result["signature_verified"]
    assert sorted(row["artifact"] for row in result["artifacts"]) == ALL
    assert all(row["level"] == "bytes" and row["same_action"] for row in result["artifacts"])
    folder = tmp_path / "export-reproduced"
    assert json.loads((folder / "verdict.json").read_bytes()) == result
    for name in ALL:
        assert f"+ {name}  building" in done.stderr
    page = (folder / "verdict.html").read_text()
    assert "<strong>Identical</strong>" in page and "6 of 6 artifacts" in page
    assert not [word for word in ("<script", "http:", "https:", "src=", str(tmp_path)) if word in page]
    key = result["signed_by"][0][:16]
    assert f"signed by the trusted key {key}" in done.stderr and "without network" in done.stderr
    again = tapeout(tmp_path, "reproduce", signed, "--unsigned", expect=3)
    assert "is not an empty folder" in again.stderr
    untrusted = tapeout(tmp_path, "reproduce", signed, "--folder", "other", expect=3)
    assert f"UntrustedExport: It names the key {key}, which is not trusted" in untrusted.stderr
    options = ("--unsigned", "--folder", "other", "--environments", "nowhere")
    without = tapeout(tmp_path, "reproduce", signed, *options, expect=3)
    assert "ReproductionFailed: There is no folder nowhere." in without.stderr and not (tmp_path / "other").exists()


def test_verdicts_on_artifacts_that_differ(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    script = project.path("scripts/model.py")
    script.write_text(script.read_text() + UNSTEADY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        snakefile = project.path("Snakefile")
        snakefile.write_text(f"{HOSTILE.format(outside=tmp_path, port=server.getsockname()[1])}{snakefile.read_text()}")
        (tmp_path / "secret").write_text("of the file")
        project.run()
        tapeout(project.root, "export", tmp_path / "export.tar", "--also", "src", "--with-artifacts")
        again, export = tmp_path / "again", tmp_path / "unpacked"
        options = ("--environments", ".envs", "--folder", again)
        done = tapeout(project.root, "reproduce", "../export.tar", *options, expect=3)
        assert "UntrustedExport: It is not signed" in done.stderr and not again.exists()
        (tmp_path / "planted").unlink()
        variables = {"HF_TOKEN": "secret of the variable"}
        done = tapeout(project.root, "reproduce", "../export.tar", "--unsigned", *options, variables=variables)
    found = json.loads((again / "found.json").read_text())
    assert set(found) <= {"planted"} and not (tmp_path / "planted").exists(), "at most in a folder of its own"
    assert json.loads(project.path("found.json").read_text())[-3:] == ["file", "planted", "network"]
    assert "\\x1b]0;title\\x07" in done.stderr and "\x1b" not in done.stderr
    assert "Verdict: equal within the stated bounds" in done.stdout
    assert "Equal within the stated bounds" in (again / "verdict.html").read_text()
    shutil.unpack_archive(tmp_path / "export.tar", export)
    document = read_document(export / NAME)

    judgement = judge(document, export, again, Bounds())
    levels = {row.artifact: row.level for row in judgement.rows}
    assert levels == {name: Level.METRICS if name == "model" else Level.BYTES for name in levels}
    assert judgement.verdict is Verdict.BOUNDS
    assert judgement.first and [difference.path for difference in judgement.first.differences] == ["log.json"]
    assert "its output depends on the machine" in judgement.why[0]

    narrow = Bounds.model_validate({"floats": {"relative": 0, "absolute": 0}})
    assert judge(document, export, again, narrow).verdict is Verdict.DIFFERENT

    without_files = document.model_copy(update={"carried": [document.target]})
    judgement = judge(without_files, export, again, Bounds())
    assert judgement.verdict is Verdict.DIFFERENT and judgement.first
    assert [row.artifact for row in judgement.rows if row.level is not Level.BYTES] == ["model"]
    assert judgement.first.differences[0].reason == "other bytes; the old ones are not in the export"

    judgement = judge(in_another_environment(document, "raw.txt"), export, again, Bounds())
    assert judgement.first and judgement.first.artifact == "raw.txt" and not judgement.first.same_action
    assert len(judgement.why) == 1 and judgement.why[0].startswith(
        "environment light: 0000000000000000 in the export, "
    )


def in_another_environment(document: Document, name: str) -> Document:
    """Return the document as if an artifact had been built in another environment, with other bytes."""
    value = json.loads(document.encode())
    manifest = next(artifact for artifact in value["artifacts"] if artifact["artifact"] == name)
    action = value["actions"][manifest["action"]]
    action["environment"]["digest"] = manifest["digest"] = manifest["files"][0]["digest"] = "0" * 64
    manifest["action"] = digest_value(action)
    value["actions"][manifest["action"]] = action
    return Document.model_construct(**value)


def test_a_step_that_fails(signed: Path, mini: Project, tmp_path: Path) -> None:
    environments = Path(shutil.copytree(mini.root / ".envs", tmp_path / "envs", symlinks=True))
    heavy = mini.environment("heavy")
    python = environments / heavy.folder.name / "bin/python"
    python.unlink()
    query = f'[ "$2" != -S ] || exec {sys.executable} "$@"'
    python.write_text(f"#!/bin/sh\n{query}\necho this machine lacks something\nexit 1\n")
    python.chmod(0o755)
    complete(python.parents[1], heavy.digest, heavy.interpreter)
    options = ("--folder", "here", "--environments", "envs")
    done = tapeout(tmp_path, "reproduce", signed, "--unsigned", "--unisolated", *options, expect=3)
    assert "ReproductionFailed: model: scripts/model.py ended with status 1" in done.stderr
    assert "NOT ISOLATED" in done.stderr and "which no trusted key has signed" in done.stderr
    assert "this machine lacks something" in done.stderr and not (tmp_path / "here/verdict.html").exists()
