"""Commands on the small project, as a user calls them: status, why, verify, and errors of all."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import as_json, call
from tests.graph.conftest import ALL, Project


def flip(path: Path) -> None:
    """Change one bit of a file and restore its times and mode."""
    info, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.chmod(0o444)


def test_status(project: Project) -> None:
    _, before = as_json(project, "status")
    assert {row["state"] for row in before["artifacts"]} == {"missing"}
    project.run()
    after = as_json(project, "status")[1]["artifacts"]
    assert sorted(row["artifact"] for row in after) == ALL
    assert {row["state"] for row in after} == {"current"}
    assert {row["artifact"]: row["digest"] for row in after} == project.digests()
    project.edit("config.yaml", "lr: 1", "lr: 5")
    states = {row["artifact"]: row["state"] for row in as_json(project, "status")[1]["artifacts"]}
    assert states["model"] == states["report.txt"] == "stale" and states["raw.txt"] == "current"
    project.path("results/notes/de.txt").unlink()
    project.path("results/raw.txt").chmod(0o644)
    project.path("results/raw.txt").write_text("edited")
    states = {row["artifact"]: row["state"] for row in as_json(project, "status")[1]["artifacts"]}
    assert states["notes/de.txt"] == "in the store" and states["raw.txt"] == "damaged"
    assert "6 artifacts: 1 current, 1 damaged, 1 in the store, 3 stale;" in call(project, "status")[1]


def test_why_names_parameter_function_package_and_source(built: Project) -> None:
    code, result = as_json(built, "why", "model")
    assert code == 0 and result["changes"] == [] and {row["result"] for row in result["rows"]} == {"same"}
    assert [row["kind"] for row in result["rows"]] == ["code", "parameter", "environment", "input"]
    built.edit("config.yaml", "decay: [1, 2]", "decay: [1, 3]")
    built.edit("scripts/model.py", "output.mkdir()", "output.mkdir(parents=True)")
    code, result = as_json(built, "why", "model")
    assert code == 1 and result["state"] == "build"
    assert {"kind": "parameter", "name": "schedule.decay", "old": [1, 2], "new": [1, 3]} in result["changes"]
    assert [change["name"] for change in result["changes"] if change["kind"] == "code"] == ["scripts/model.py"]
    built.edit("scripts/model.py", "output.mkdir(parents=True)", "output.mkdir()")
    built.edit("config.yaml", "decay: [1, 3]", "decay: [1, 2]")
    built.edit("lib/words.py", "return sorted(", "return list(")
    _, result = as_json(built, "why", "report.txt")
    names = [change["name"] for cause in result["origins"] for change in cause["changes"]]
    assert "lib/words.py: words" in names


def test_why_follows_a_change_upstream_to_its_origin(built: Project) -> None:
    built.path("src/data.txt").write_text("b\na\nd\n")
    code, result = as_json(built, "why", "report.txt")
    assert code == 1 and result["state"] == "waiting"
    assert [cause["artifact"] for cause in result["origins"]] == ["raw.txt"]
    assert result["origins"][0]["path"] == ["report.txt", "model", "formatted.txt", "raw.txt"]
    source = {"kind": "parameter", "name": "source", "old": DIGESTS[0], "new": DIGESTS[1]}
    assert result["origins"][0]["changes"] == [source]  # the origin, with both digests
    (row,) = [row for row in result["rows"] if row["result"] != "same"]
    assert row["name"] == "model: model/weights.txt" and row["old"] and row["new"] is None
    assert row["result"] == "waits" and row["origins"] == ["raw.txt"]
    text = call(built, "why", "report.txt")[1]
    assert "not known yet" in text and DIGESTS[1][:12] in text


DIGESTS = [hashlib.sha256(data).hexdigest() for data in (b"b\na\nc\n", b"b\na\nd\n")]


def test_verify_finds_a_flipped_bit_and_repairs_it(built: Project) -> None:
    first = built.digests()
    assert call(built, "verify", "--deep")[0] == 0
    assert as_json(built, "verify", "model", "model")[1]["artifacts"] == 1
    flip(built.path("results/model/weights.txt"))
    code, text, _ = call(built, "verify")  # size and times are preserved: only --deep reads the bytes
    assert code == 0 and "sizes and times only" in " ".join(text.split())
    code, result = as_json(built, "verify", "--deep")
    assert code == 1
    found = [(row["artifact"], row["path"]) for row in result["findings"]]
    assert found == [("model", "results/model/weights.txt"), ("report.txt", "")]  # which was built from it
    assert len(list(built.path("store/quarantine").iterdir())) == 1
    flip(built.path("results/formatted.txt"))
    code, result = as_json(built, "verify", "--deep", "--repair")
    assert code == 0 and result["repaired"]
    assert built.digests() == first
    assert call(built, "verify", "--deep")[0] == 0


def test_verify_reads_the_environments_and_a_run_refuses_what_it_found(built: Project) -> None:
    assert "2 environments" in call(built, "verify", "--deep")[1]
    path = built.environment("heavy").folder / "bin" / "activate"
    flip(built.root / path)
    assert call(built, "verify")[0] == 0
    code, result = as_json(built, "verify", "--deep", "--repair", "model")
    assert code == 1 and not result["findings"] and not result["repaired"]
    assert [(row["environment"], row["path"]) for row in result["environments"]] == [("heavy", str(path))]
    code, text, _ = call(built, "verify", "--deep")
    assert code == 1 and "make environments ADD=heavy" in text
    assert built.run().nothing_done
    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert "EnvironmentChanged" in built.run(ok=False).text


def test_verify_finds_a_damaged_object_that_no_artifact_uses(built: Project) -> None:
    built.edit("config.yaml", "lr: 1", "lr: 5")
    built.run()
    unused = [path for path in built.path("store/objects").glob("*/*") if path.stat().st_nlink == 1]
    flip(unused[0])
    code, result = as_json(built, "verify", "--deep")
    assert code == 1 and [row["artifact"] for row in result["findings"]] == [""]
    assert call(built, "verify", "--deep")[0] == 0  # it is in quarantine now


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["why", "modle"], "UnknownName: There is no artifact or rule modle; did you mean model?"),
        (["cost", "modle"], "UnknownName: There is no artifact or rule modle; did you mean model?"),
        (["cost", ""], "UnknownName: The name of an artifact is empty."),
        (["verify", "modle"], "UnknownName: There is no artifact or rule modle; did you mean model?"),
        (["rebuild", "formated", "--check"], "did you mean formatted?"),
        (["why", "modle"], "Configuration: config.yaml (the default)."),
        (["cost", "modle"], "Configuration: config.yaml (the default)."),
        (["why", "notes"], "UnknownName: notes is a rule, not one artifact."),
        (["why", "model", "--against", "never"], "UnknownName: There is no run never."),
        (["runs", "save", "../out"], "../out' is not a valid run name."),
        (["runs", "save", "empty"], "RequestRefused: There are no results to save."),
    ],
)
def test_errors(project: Project, arguments: list[str], words: str) -> None:
    status, _, errors = call(project, *arguments)
    assert status == 3 and words in errors


def test_verify_takes_runs_and_rules(built: Project) -> None:
    assert call(built, "runs", "save", "before")[0] == 0
    assert as_json(built, "verify", "@before")[1]["artifacts"] == len(ALL)
    assert as_json(built, "verify", "notes", "model@before")[1]["artifacts"] == 3


@pytest.mark.parametrize(("options", "status"), [("-n", 141), ("-n --quiet host", 141), ("--forcerun raw", 0)])
def test_a_dry_run_without_a_reader_ends_quietly_and_a_run_continues(built: Project, options: str, status: int) -> None:
    """As in ``snakemake -n 2>&1 | head -1``, where even the first line of Snakemake may come too late."""
    command = [sys.executable, "-m", "tapeout.cli.run_snakemake", "--cores", "1", *options.split()]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, cwd=built.root, env=built.variables(), stdout=writer, stderr=writer, timeout=300)
    os.close(writer)
    assert done.returncode == status
    journal = built.path("store/journal.jsonl").read_text().splitlines()
    assert len(journal) == len(ALL) + (status == 0)
