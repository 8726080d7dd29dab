"""Options of Snakemake: names of artifacts, and plans of a part of the graph."""

import re

import pytest

from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.request import select
from tests.graph.conftest import Project, Run

PLANNED = re.compile(r"^  (\S+) +(?:\?|(?:< )?\d+(?:\.\d+)? \w+)  ", re.MULTILINE)
FOREIGN = "jobs: 3\nkeep-going: true\nrerun-triggers: [params, code, mtime]\nretries: 1\n"


def planned(run: Run) -> list[str]:
    """Return the artifacts of the printed plan."""
    return sorted(PLANNED.findall(run.text.partition("Plan ")[2]))


def test_the_plan_is_what_runs(built: Project) -> None:
    built.path("src/data.txt").write_text("b\na\nd\n")
    built.path("foreign").mkdir()
    built.path("foreign/config.yaml").write_text(FOREIGN)
    foreign = ("--workflow-profile", "none", "--profile", "foreign")
    for options, expected in (
        (("--until", "formatted.txt"), ["formatted.txt", "raw.txt"]),
        (("--omit-from", "results/model", "--allowed-rules", "report", "notes"), []),
        (("--batch", "report=1/2"), ["model"]),
        ((*foreign, "notes/fr.txt", "--forcerun", "notes/de.txt"), ["notes/de.txt", "notes/fr.txt"]),
        ((*foreign, "--forcerun", "raw", "--omit-from", "report"), ["raw.txt"]),
        (("--quiet", "all", "--jobs", "2"), ["report.txt"]),
        (foreign, []),
    ):
        run = built.run(*options)
        assert run.built == expected, options
        assert planned(run) == ([] if "--quiet" in options else expected), options
    assert planned(built.run("-n", "--until", "model", "--forceall")) == ["formatted.txt", "model", "raw.txt"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["modle"], "UnknownName: There is no artifact or rule modle; did you mean model?"),
        (["--cores", "0"], "InvalidRule: --cores 0 would leave nothing to run steps with."),
        (["--cache", "report"], "InvalidRule: --cache would keep results a second time."),
        (["--touch"], "InvalidRule: --touch would mark artifacts as built that are not."),
    ],
)
def test_what_cannot_be_done_is_named(project: Project, arguments: list[str], error: str) -> None:
    text = project.run(*arguments, ok=False).text
    assert error in text and "fix:" in text and "Traceback" not in text and "MissingRuleException" not in text


def test_a_part_of_a_graph() -> None:
    def recipe(name: str, *needs: str) -> Recipe:
        return Recipe(name, "r", "s", {}, "e", "d", {}, {need: Reference(need) for need in needs})

    recipes = {r.artifact: r for r in (recipe("a"), recipe("b", "a"), recipe("c", "b"), recipe("d", "a"), recipe("e"))}
    assert select(recipes, None, set()) == set("abcde")
    assert select(recipes, {"b"}, set()) == {"a", "b"}
    assert select(recipes, None, {"b"}) == {"a", "d", "e"}
    assert select(recipes, {"c", "d"}, {"b"}) == {"a", "d"}
    assert select(recipes, {"e"}, {"e"}) == set()
