"""CVDP: JSON Lines, each row with a prompt, files of context, files of the solution and a harness.

The published harnesses run cocotb in containers, which cannot be done here: such problems are unusable, with the
reason. A row whose harness consists of Verilog files only, as in a set of one's own, is usable. Its top
module is the one that no other instantiates, and reports PASS or FAIL as in the project's own format.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from tapeout.simulation.problems.files import invalid, problem_of, read_rows, reason
from tapeout.simulation.problems.modules import instantiates, modules, tops
from tapeout.simulation.problems.problem import UNCLASSIFIED, Problem

VERILOG = {".v", ".sv"}
DIFFICULTIES = {"easy", "medium", "hard"}


class Input(BaseModel):
    """Prompt and files that a model is given."""

    prompt: str
    context: dict[str, str] = {}


class Output(BaseModel):
    """Files of the solution."""

    context: dict[str, str] = {}


class Harness(BaseModel):
    """Files that judge a solution."""

    files: dict[str, str] = {}


class Row(BaseModel):
    """Row of a set for models that answer once."""

    id: str
    categories: list[str] = Field(min_length=1)
    input: Input
    output: Output = Output()
    harness: Harness


class AgenticRow(BaseModel):
    """Row of a set for agents, which edit a folder."""

    id: str
    categories: list[str] = Field(min_length=1)
    prompt: str
    patch: dict[str, Any]


def read(folder: Path) -> list[Problem]:
    """Return the problems of all files ``*.jsonl`` in a folder.

    Raises:
        InvalidProblem: a row is malformed.
    """
    problems = []
    for path in sorted(folder.rglob("*.jsonl")):
        for number, row in read_rows(path):
            try:
                if "patch" in row and "input" not in row:
                    agentic = AgenticRow.model_validate(row)
                    values = _facts(agentic.id, agentic.categories)
                    unusable = "It is made for an agent that edits a folder; a single answer cannot be judged."
                    problems.append(problem_of(path, **values, prompt=agentic.prompt, top="", unusable=unusable))
                else:
                    problems.append(_problem(path, Row.model_validate(row)))
            except ValidationError as error:
                raise invalid(path, f"line {number}: {reason(error)}") from error
    return problems


def _facts(name: str, categories: list[str]) -> dict[str, Any]:
    """Return name, category and difficulty; the latter is one of the categories of a row."""
    difficulty = next((text for text in categories if text in DIFFICULTIES), UNCLASSIFIED)
    category = next((text for text in categories if text not in DIFFICULTIES), UNCLASSIFIED)
    return {"name": name, "title": name, "category": category, "difficulty": difficulty}


def _is_verilog(name: str) -> bool:
    return PurePosixPath(name).suffix in VERILOG


def _problem(path: Path, row: Row) -> Problem:
    asked = [name for name in row.output.context if row.output.context[name].strip()]
    context = {name: text for name, text in row.input.context.items() if name not in row.output.context}
    files = {**context, **row.harness.files}
    shown = "".join(f"\n\nThe file {name}:\n\n{text.strip()}" for name, text in sorted(row.input.context.items()))
    values = {**_facts(row.id, row.categories), "prompt": row.input.prompt.strip() + shown + "\n", "files": files}
    golden = row.output.context[asked[0]] if len(asked) == 1 else ""
    sources = tuple(sorted(filter(_is_verilog, files)))
    harness = "\n".join(row.harness.files[name] for name in sources if name in row.harness.files)
    top = next((name for name in modules(golden) if instantiates(harness, name)), next(iter(modules(golden)), ""))
    benches = tops(harness)
    values |= {"golden": golden, "sources": sources, "top": top}
    values["context"] = tuple(name for name in sources if name not in row.harness.files)
    foreign = sorted(name for name in row.harness.files if not _is_verilog(name))
    if foreign:
        unusable = f"Its harness needs other programs than a simulator ({', '.join(foreign)})."
    elif len(asked) != 1 or not _is_verilog(asked[0]):
        unusable = f"Its solution has {len(asked)} files; one Verilog file can be judged."
    elif not top:
        unusable = f"Its solution {asked[0]} defines no module."
    elif len(benches) != 1:
        unusable = f"Its harness has {len(benches)} top modules."
    else:
        return problem_of(path, **values, bench=benches[0])
    return problem_of(path, **values, unusable=unusable)
