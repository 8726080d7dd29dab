"""Families of artifacts: with many shards, one changed shard costs one job per stage, and all are resolved at once."""

import re
from pathlib import Path

import pytest

from benchmarks.shards import lay_out
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.plan.decide import MAX_GROUPS, Decision, batches
from tapeout.graph.workspace import State
from tests.graph.conftest import Project

SHARDS = MAX_GROUPS + 2


@pytest.fixture
def corpus(tmp_path: Path) -> Project:
    lay_out(tmp_path / "corpus")
    return Project(tmp_path / "corpus")


def test_g16_one_changed_shard_runs_one_job_per_stage(corpus: Project) -> None:
    shards = ("--config", f"shards={SHARDS}")
    first = corpus.run(*shards)
    assert len(first.built) == 2 * SHARDS + 2 and "like it" not in first.text
    assert corpus.run(*shards).nothing_done
    corpus.path("src/changed.txt").write_text("00007\n")
    run = corpus.run(*shards)
    assert run.built == ["clean/00007.txt", "corpus", "count/00007.txt", "index.txt"]
    assert re.findall(r"= (\S+) and 17 like it: (.*)", run.text) == [
        (f"{stage}/00000.txt", "1 to build, 17 unchanged, cut off") for stage in ("clean", "count")
    ]
    corpus.path("src/changed.txt").write_text("")
    assert corpus.run(*shards).nothing_done


def waiting(artifact: str, rule: str, *needs: str) -> Decision:
    recipe = Recipe(artifact, rule, "s.py", {}, "light", "", {}, {name: Reference(name) for name in needs})
    return Decision(recipe, State.WAITING, None, needs)


def test_few_artifacts_are_resolved_one_by_one_and_many_together() -> None:
    few = [waiting(f"b{n}", "b", f"a{n}") for n in range(MAX_GROUPS)]
    assert batches(few) == {f"b{n}": [f"b{n}"] for n in range(MAX_GROUPS)}
    many = [waiting(f"b{n}", "b", f"a{n}") for n in range(MAX_GROUPS + 1)]
    assert list(batches(many).values()) == [sorted(d.recipe.artifact for d in many)]
    assert all(len(members) == 1 for members in batches(many, merge=False).values())
    chain = [waiting(f"c{n + 1}", "c", f"c{n}") for n in range(2 * MAX_GROUPS)]
    assert all(len(members) == 1 for members in batches(chain).values()), "a batch must not wait for itself"
