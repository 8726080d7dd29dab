"""Parts of a problem set: a change of a problem concerns the prompts of its own part alone."""

import runpy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tapeout.config.rtl_problems import ProblemsJob
from tapeout.simulation.problem_set import UnusableFile, read_lines, write_lines
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.prompts import Asked, asked, part_of, prompts_path, read_prompts, write_prompts
from tests.simulation.toys import COUNTER, HEADER

pytestmark = pytest.mark.environment("rtl")
ROOT = Path(__file__).parents[2]
SET = [COUNTER.model_copy(update={"name": f"problem_{number}"}) for number in range(20)]
PARTS = 6


def contents(folder: Path, problems: Sequence[Problem], parts: int = PARTS) -> list[bytes]:
    folder.mkdir()
    write_prompts(folder, problems, parts)
    return [(folder / prompts_path(part)).read_bytes() for part in range(parts)]


CHANGES: dict[str, tuple[Callable[[list[Problem], int], list[Problem]], bool]] = {
    "an edited prompt": (
        lambda one, at: [*one[:at], one[at].model_copy(update={"prompt": "Count down."}), *one[at + 1 :]],
        True,
    ),
    "a missing problem": (lambda one, at: [*one[:at], *one[at + 1 :]], True),
    "an unusable problem": (
        lambda one, at: [*one[:at], one[at].model_copy(update={"unusable": "It has no bench."}), *one[at + 1 :]],
        True,
    ),
    "an edited test bench": (
        lambda one, at: [*one[:at], one[at].model_copy(update={"files": {"bench.sv": ""}}), *one[at + 1 :]],
        False,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_one_problem_changes_its_part_alone(change: str, tmp_path: Path) -> None:
    before = contents(tmp_path / "before", SET)
    assert [len(text.splitlines()) for text in before] == [
        sum(part_of(problem.name, PARTS) == part for problem in SET) for part in range(PARTS)
    ]
    apply, counts = CHANGES[change]
    for at, problem in enumerate(SET):
        after = contents(tmp_path / str(at), apply(SET, at))
        changed = [part for part in range(PARTS) if before[part] != after[part]]
        assert changed == ([part_of(problem.name, PARTS)] if counts else [])


def test_one_part_has_every_prompt_in_the_order_of_the_set(tmp_path: Path) -> None:
    contents(tmp_path / "prompts", SET, 1)
    assert read_prompts(tmp_path / "prompts" / prompts_path(0)) == [asked(problem) for problem in SET]
    (tmp_path / "other").write_text("{}\n")
    for name in ("other", "missing"):
        with pytest.raises(UnusableFile, match=f"{name} cannot be used"):
            read_prompts(tmp_path / name)


def test_an_answer_without_the_module_continues_the_header() -> None:
    body = COUNTER.model_copy(update={"name": "body", "prompt": "Count.", "dialect": "body", "header": HEADER})
    assert asked(body) == Asked(name="body", text=f"Count.\n\n{HEADER}\n")
    assert asked(body.model_copy(update={"header": ""})) == Asked(name="body", text="Count.\n")


def test_the_step_writes_the_set_and_its_parts(tmp_path: Path) -> None:
    main = runpy.run_path(str(ROOT / "scripts" / "problems.py"))["main"].__wrapped__
    main(ProblemsJob(parts=3), ROOT / "config/rtl_problems", tmp_path / "set")
    problems = read_lines(tmp_path / "set/problems.jsonl")
    expected = contents(tmp_path / "expected", problems, 3)
    assert [(tmp_path / "set" / prompts_path(part)).read_bytes() for part in range(3)] == expected
    assert sum(len(text.splitlines()) for text in expected) == len(problems) > 50
    write_lines(tmp_path / "again.jsonl", problems)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "set/problems.jsonl").read_bytes()
