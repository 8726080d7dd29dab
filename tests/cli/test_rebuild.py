"""``tapeout rebuild`` on the small project."""

import json
import shutil
from typing import Any

import pytest

from tests.cli.conftest import call
from tests.graph.conftest import ALL, Project


def rebuild(where: Project, *arguments: str, status: int = 0) -> dict[str, Any]:
    code, text, errors = call(where, "rebuild", *arguments, "--json")
    assert code == status, errors
    return json.loads(text)


def refused(where: Project, *arguments: str) -> str:
    code, _, errors = call(where, "rebuild", *arguments)
    assert code == 3
    return errors


WRITE = '(output / "weights.txt").write_text('


def test_all_artifacts_are_rebuilt_with_the_same_bytes(built: Project) -> None:
    before = built.digests()
    shutil.rmtree(built.path("results/notes"))  # nothing of results/ is read but manifests of what is asked for
    built.run()
    result = rebuild(built, "--check")
    assert sorted(row["artifact"] for row in result["artifacts"]) == ALL
    assert {row["level"] for row in result["artifacts"]} == {"bytes"}
    assert {row["artifact"]: row["second_digest"] for row in result["artifacts"]} == before
    assert not list(built.root.glob("work/rebuild.*")) and not built.path("work/second").exists()


def test_a_step_with_random_output_is_detected_and_its_copy_kept(built: Project) -> None:
    built.edit("scripts/model.py", "import time\n", "import os\nimport time\n")
    built.edit("scripts/model.py", WRITE, '(output / "id").write_bytes(os.urandom(8))\n' + WRITE)
    built.run()
    (row,) = rebuild(built, "model", "--check", status=1)["artifacts"]
    assert row["level"] == "none" and row["second_digest"] != row["digest"]
    assert [file["path"] for file in row["differing_files"]] == ["id"]
    assert built.path(row["second_copy"]).joinpath("weights.txt").is_file()
    assert built.run().nothing_done


def test_a_lower_level(built: Project) -> None:
    built.edit("scripts/model.py", "import time\n", "import json\nimport os\nimport time\n")
    spaces = '(output / "x.json").write_text(json.dumps([1.0], indent=int.from_bytes(os.urandom(1)) or 1))\n'
    built.edit("scripts/model.py", WRITE, spaces + WRITE)
    built.run()
    assert rebuild(built, "model", "--check", "--level", "values")["artifacts"][0]["level"] == "values"
    assert rebuild(built, "model", "--check", status=1)["artifacts"][0]["level"] == "values"


def test_without_check_the_second_copy_is_kept(built: Project) -> None:
    (row,) = rebuild(built, "model")["artifacts"]
    assert row["level"] is None and built.path(row["second_copy"]).joinpath("weights.txt").is_file()


def test_only_steps_that_fetch_have_a_network_and_only_if_online(built: Project) -> None:
    there = 'import socket\n\nprint("networks", len(socket.if_nameindex()), flush=True)\n'
    for name, first in (("raw", "from pathlib import Path\n"), ("model", "import json\n")):
        built.edit(f"scripts/{name}.py", first, there + first)
    built.run()
    log = built.path("logs/rebuild/raw.txt.log")
    if rebuild(built, "raw.txt", "--check")["offline"]:
        assert "networks 1\n" in log.read_text()
    assert not rebuild(built, "raw.txt", "--check", "--online")["offline"]
    assert log.read_text() == built.path("logs/raw.log").read_text()
    assert rebuild(built, "model", "--check")["offline"]
    assert "--online has no effect" in refused(built, "model", "--check", "--online")


@pytest.mark.parametrize("deep", [False, True])
def test_errors(built: Project, deep: bool) -> None:
    if deep:
        path = built.path("results/formatted.txt")
        path.chmod(0o644)
        path.write_bytes(b"?" * path.stat().st_size)
        text = refused(built, "model", "--check")
        assert "RequestRefused: The store lacks the input formatted.txt" in text
    else:
        built.edit("config.yaml", "lr: 1", "lr: 5")
        text = refused(built, "model", "--check")
        assert "RequestRefused" in text and "tapeout why model" in text
