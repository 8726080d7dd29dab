"""G16 in small: of a corpus in shards, one changed shard costs one job a stage, and all are resolved together."""

import re
from pathlib import Path

import pytest

from benchmarks.shards import lay_out
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.plan.decide import FAMILY, Decision, families
from tapeout.graph.workspace import State
from tests.graph.conftest import Project

SHARDS = FAMILY + 2


@pytest.fixture
def corpus(tmp_path: Path) -> Project:
    lay_out(tmp_path / "corpus")
    return Project(tmp_path / "corpus")


def test_g16_one_changed_shard_runs_one_job_a_stage(corpus: Project) -> None:
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


def test_few_wait_each_for_its_own_input_and_many_for_all() -> None:
    few = [waiting(f"b{n}", "b", f"a{n}") for n in range(FAMILY)]
    assert families(few) == {f"b{n}": [f"b{n}"] for n in range(FAMILY)}
    many = [waiting(f"b{n}", "b", f"a{n}") for n in range(FAMILY + 1)]
    assert list(families(many).values()) == [sorted(d.recipe.artifact for d in many)]
    assert all(len(members) == 1 for members in families(many, many=False).values()), "the rest waits for no part"
    chain = [waiting(f"c{n + 1}", "c", f"c{n}") for n in range(2 * FAMILY)]
    assert all(len(members) == 1 for members in families(chain).values()), "a family must not wait for itself"
