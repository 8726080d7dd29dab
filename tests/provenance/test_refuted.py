"""Refuted artifacts: other bytes of the same action, at which level, and who says so."""

from pathlib import Path

import pytest

from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.second_builds import NAME, SecondBuild, note, read
from tapeout.graph.workspace import Workspace
from tapeout.provenance.refuted import refutation
from tests.graph.folders import folder, make

A, B = "a" * 64, "b" * 64


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return folder(tmp_path, tmp_path / "store")


@pytest.fixture
def made(here: Workspace) -> Manifest:
    return make(here, "made", "text")


ROWS = {
    # builds, each (other digest, level that it reaches, level that was asked for): refuted by
    "nothing": ([], ""),
    "same bytes": ([("", "bytes", "bytes")], ""),
    "different": ([(A, "none", "bytes")], A),
    "different, forced": ([(A, "-", "-")], A),
    "values, but bytes were asked for": ([(A, "values", "bytes")], A),
    "values": ([(A, "values", "values")], ""),
    "metrics, but values were asked for": ([(A, "metrics", "values")], A),
    "metrics": ([(A, "metrics", "metrics")], ""),
    "later accepted": ([(A, "values", "bytes"), (B, "values", "values")], ""),
    "accepted by equal bytes": ([(A, "values", "bytes"), ("", "bytes", "values")], ""),
    "later not accepted any more": ([(A, "values", "values"), (B, "values", "bytes")], A),
    "equal by chance": ([(A, "none", "bytes"), ("", "bytes", "bytes")], A),
    "different whatever is accepted": ([(A, "none", "metrics")], A),
    "different in one of two builds": ([(A, "values", "values"), (B, "none", "values")], B),
    "the same bytes, once different": ([(A, "values", "values"), (A, "none", "values")], A),
    "forced, then compared": ([(A, "-", "-"), (B, "values", "values")], ""),
    "forced, then equal by chance": ([(A, "-", "-"), ("", "bytes", "values")], A),
}


@pytest.mark.parametrize(("builds", "other"), ROWS.values(), ids=ROWS.keys())
def test_levels(here: Workspace, made: Manifest, builds: list[tuple[str, str, str]], other: str) -> None:
    for second, reached, required in builds:
        note(here.work, SecondBuild(made.action, made.digest(), second or made.digest(), reached, required))
    note(here.work, SecondBuild(B, A, B))  # of another action
    found = refutation(here, made)
    assert (f"sha256:{made.digest()}" in found and f"sha256:{other}" in found) if other else found == ""


def test_equal_builds_leave_no_file_and_a_line_that_is_cut_counts_not(here: Workspace, made: Manifest) -> None:
    note(here.work, SecondBuild(made.action, A, A))
    assert not (here.work / NAME).exists()
    (here.work / NAME).write_text(f"{made.action} {A} {B[:5]}\n{made.action} {A} {B} none")
    assert read(here.work, made.action) == []


def test_other_outputs_that_were_built_here_or_are_in_the_journal(
    tmp_path: Path, here: Workspace, made: Manifest
) -> None:
    line = {"action": made.action, "artifact": "made", "digest": made.digest(), "finished": "2026-01-01T00:00:00+00:00"}
    here.store.append_journal(line)
    assert refutation(here, made) == ""
    here.store.append_journal({**line, "digest": A})
    assert A in refutation(here, made) and refutation(here, made, journal=False) == ""
    with (here.work / "built").open("a") as file:
        file.write(f"{made.action} {B}\n")
    assert B in refutation(folder(tmp_path, here.store.root), made, journal=False)
