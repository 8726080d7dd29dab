"""Prompts of a problem set, divided into parts.

They depend neither on a simulator nor on test benches, so neither a new version of a simulator nor an edit of a test
bench lets a model answer again.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from tapeout.simulation.problem_set import Form, unusable_file, write_lines
from tapeout.simulation.problems.problem import Problem


class Asked(Form):
    """A problem as a model is asked it.

    Attributes:
        name: name of the problem.
        text: description, and the header of the module where an answer continues it.
    """

    name: str
    text: str


def asked(problem: Problem) -> Asked:
    """Return a problem as a model is asked it."""
    return Asked(name=problem.name, text=f"{problem.prompt.rstrip()}\n\n{problem.header}".rstrip() + "\n")


def prompts_path(part: int) -> str:
    """Return the path of a part's prompts in the artifact of a problem set."""
    return f"prompts/{part}.jsonl"


def part_of(name: str, parts: int) -> int:
    """Return the part of a problem: a hash of its name, so that neither an edit nor another problem moves it."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % parts


def write_prompts(folder: Path, problems: Iterable[Problem], parts: int) -> None:
    """Write the prompts of each part, without problems that cannot be judged anywhere."""
    (folder / prompts_path(0)).parent.mkdir()
    divided: list[list[Asked]] = [[] for _ in range(parts)]
    for problem in problems:
        if not problem.unusable:
            divided[part_of(problem.name, parts)].append(asked(problem))
    for part, prompts in enumerate(divided):
        write_lines(folder / prompts_path(part), prompts)


def read_prompts(path: Path) -> list[Asked]:
    """Read the prompts of a part.

    Raises:
        UnusableFile: the file is missing or malformed.
    """
    try:
        return [Asked.model_validate_json(line) for line in path.read_bytes().splitlines()]
    except (OSError, ValidationError) as error:
        raise unusable_file(path, error) from error
