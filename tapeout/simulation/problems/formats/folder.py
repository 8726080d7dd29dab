"""The project's own format: a folder a problem, with problem.yaml, golden.sv and bench.sv."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tapeout.config.problems import InvalidConfig
from tapeout.config.yaml_files import read_file
from tapeout.simulation.problems.files import invalid, problem_of, read_text, reason
from tapeout.simulation.problems.problem import InvalidProblem, Problem

DESCRIPTION, GOLDEN, BENCH = "problem.yaml", "golden.sv", "bench.sv"
TOP = "bench"
"""Top module of each test bench."""


class Mutation(BaseModel):
    """A mistake: one substitution in the golden solution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    find: str = Field(min_length=1)
    replace: str


class Description(BaseModel):
    """Content of problem.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    category: Literal["combinational", "sequential", "fsm", "arithmetic", "memory", "interface"]
    difficulty: Literal["easy", "medium", "hard"]
    top: str = Field(pattern=r"^[A-Za-z_]\w*$")
    prompt: str = Field(min_length=1)
    mutants: tuple[Mutation, ...] = Field(min_length=1)


def read(folder: Path) -> list[Problem]:
    """Return the problems of a folder: one for each folder in it that has a problem.yaml.

    Raises:
        InvalidProblem: a file is missing or malformed, or a mutant is not one substitution.
    """
    return [_problem(path.parent) for path in sorted(folder.glob(f"*/{DESCRIPTION}"))]


def _problem(folder: Path) -> Problem:
    path = folder / DESCRIPTION
    try:
        description = Description.model_validate(read_file(path, "problem").content)
    except InvalidConfig as error:
        raise InvalidProblem(error.cause, error.fix) from error
    except ValidationError as error:
        raise invalid(path, reason(error)) from error
    golden = read_text(folder / GOLDEN)
    mutants: dict[str, str] = {}
    for mutation in description.mutants:
        if mutation.name in mutants:
            raise invalid(path, f"the mutant {mutation.name} is repeated")
        if (count := golden.count(mutation.find)) != 1:
            raise invalid(path, f"the text of the mutant {mutation.name} occurs {count} times in {GOLDEN}, not once")
        mutants[mutation.name] = golden.replace(mutation.find, mutation.replace)
        if mutants[mutation.name] == golden:
            raise invalid(path, f"the mutant {mutation.name} changes nothing")
    values = description.model_dump(exclude={"mutants"})
    return problem_of(
        path,
        **values,
        name=folder.name,
        golden=golden,
        mutants=mutants,
        files={BENCH: read_text(folder / BENCH)},
        sources=(BENCH,),
        bench=TOP,
    )
