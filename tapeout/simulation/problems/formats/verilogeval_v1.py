"""VerilogEval, version 1: JSON Lines with module header, solution and test bench, and descriptions in separate files.

A file of problems has the fields ``task_id``, ``prompt`` (the header), ``canonical_solution`` (what follows it) and
``test``; a file of descriptions has ``task_id`` and ``detail_description``.
"""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from tapeout.simulation.problems.files import invalid, problem_of, read_rows, reason
from tapeout.simulation.problems.modules import modules
from tapeout.simulation.problems.problem import MISMATCHES, Problem

BENCH = "test.sv"
TOP = "tb"
"""Top module of each test bench."""


class Task(BaseModel):
    """Row of a file of problems."""

    task_id: str
    prompt: str
    canonical_solution: str
    test: str


class Description(BaseModel):
    """Row of a file of descriptions."""

    task_id: str
    detail_description: str


def read(folder: Path) -> list[Problem]:
    """Return the problems of all files ``*.jsonl`` in a folder.

    Raises:
        InvalidProblem: a row is malformed, a problem has no description, or a description is repeated.
    """
    tasks: list[tuple[Path, Task]] = []
    descriptions: dict[str, str] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for number, row in read_rows(path):
            try:
                if "detail_description" in row:
                    description = Description.model_validate(row)
                    if description.task_id in descriptions:
                        raise invalid(path, f"line {number}: the description of {description.task_id} is repeated")
                    descriptions[description.task_id] = description.detail_description
                else:
                    tasks.append((path, Task.model_validate(row)))
            except ValidationError as error:
                raise invalid(path, f"line {number}: {reason(error)}") from error
    return [_problem(path, task, descriptions) for path, task in tasks]


def _problem(path: Path, task: Task, descriptions: dict[str, str]) -> Problem:
    if task.task_id not in descriptions:
        raise invalid(path, f"the problem {task.task_id} has no description in another file of the folder")
    defined = modules(task.prompt)
    if len(defined) != 1:
        raise invalid(path, f"the prompt of {task.task_id} has {len(defined)} module headers, not one")
    return problem_of(
        path,
        name=task.task_id,
        title=task.task_id,
        top=defined[0],
        prompt=descriptions[task.task_id].strip() + "\n",
        dialect="body",
        header=task.prompt,
        golden=task.prompt + task.canonical_solution,
        files={BENCH: task.test},
        sources=(BENCH,),
        bench=TOP,
        verdict=MISMATCHES,
    )
