"""Actions of sampling and judging: what a new simulator, another problem, an edit and another model build again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tapeout.cli import project
from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.manifest import Manifest
from tapeout.simulation.problem_set import write_lines
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.problems.reading import read_problems
from tapeout.simulation.prompts import part_of, write_prompts

ROOT = Path(__file__).parents[2]
SET, TASK = "problems/rtl_problems", "verilog_generation/rtl_problems"
PARTS = 4
MODELS = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}


@dataclass(frozen=True)
class Output:
    """Stand-in for a manifest: the digest of a file is known, or follows from the action that writes it."""

    digest: Callable[[str], str]


def recipes_of(folder: Path, **evaluation: Any) -> dict[str, Recipe]:
    file = folder / "evaluation.yaml"
    section = {"tasks": {"verilog_generation": {}}, "problems": {"rtl_problems": {"parts": PARTS}}, **evaluation}
    file.write_text(yaml.safe_dump({"evaluation": section}))
    return dict(project.load([file], "eval_report").recipes)


def files_of(folder: Path, problems: list[Problem]) -> dict[str, str]:
    """Return the digest of each file that the step ``problems`` writes."""
    folder.mkdir()
    write_lines(folder / "problems.jsonl", problems)
    write_prompts(folder, problems, PARTS)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def actions(recipes: dict[str, Recipe], files: dict[str, str]) -> dict[str, str]:
    """Return the digest of each action of sampling and judging, if the problem set has these files."""

    def output(name: str) -> Manifest:
        return cast(Manifest, Output(files.__getitem__ if name == SET else lambda path: f"{action(name)}/{path}"))

    @cache
    def action(name: str) -> str:
        return recipes[name].action(output).digest

    return {name: action(name) for name in recipes if name.startswith(("samples/", "checked/")) or TASK in name}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in after if after[name] != before.get(name)}


def judged(*models: str) -> set[str]:
    return {f"evaluation/{model}/{TASK}.json" for model in models or MODELS}


def test_what_a_change_builds_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipes = recipes_of(tmp_path)
    problems = read_problems(ROOT / "config/rtl_problems", "folder")
    files = files_of(tmp_path / "files", problems)
    before = actions(recipes, files)
    every = {f"samples/{model}/{TASK}/{part}.jsonl" for model in MODELS for part in range(PARTS)}
    assert {name for name in before if name.startswith("samples/")} == every
    follows, searched = {"checked/rtl_problems.json", *judged()}, f"contamination/{TASK}.json"

    simulator = {
        name: replace(recipe, environment_digest="other") if recipe.environment == "rtl" else recipe
        for name, recipe in recipes.items()
    }
    assert changed(before, actions(simulator, files)) == follows

    edited = problems[7]
    prompts = [replace_prompt(problem) if problem is edited else problem for problem in problems]
    new = edited.model_copy(update={"name": "another"})
    part, other = part_of(edited.name, PARTS), part_of(new.name, PARTS)
    for name, after, parts in (
        ("edited", prompts, {part}),
        ("added", sorted([*problems, new], key=lambda problem: problem.name), {other}),
        ("bench", [*problems[:7], edited.model_copy(update={"mutants": {}}), *problems[8:]], set[int]()),
    ):
        found = changed(before, actions(recipes, files_of(tmp_path / name, after)))
        assert found == follows | {searched} | {
            f"samples/{model}/{TASK}/{one}.jsonl" for model in MODELS for one in parts
        }, name

    more = recipes_of(tmp_path, models={**MODELS, "more": "base_extended"})
    found = changed(before, actions(more, files))
    assert found == judged("more") | {f"samples/more/{TASK}/{part}.jsonl" for part in range(PARTS)}


def replace_prompt(problem: Problem) -> Problem:
    return problem.model_copy(update={"prompt": f"{problem.prompt}Write one module."})
