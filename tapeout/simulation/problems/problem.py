"""Problem: what a model is asked to design, and the test bench that judges a design."""

import hashlib
import re
from pathlib import PurePosixPath
from typing import Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tapeout.errors import TapeoutError
from tapeout.simulation.problems.modules import modules

Dialect = Literal["module", "body"]
UNCLASSIFIED = "unclassified"
"""Category or difficulty of a problem whose set states none."""
ANSWER, BOUNDARY = "answer.sv", "boundary.sv"
"""Files that are written beside those of a problem: the answer, and a mark before it."""
RESERVED = {ANSWER, BOUNDARY, "obj", "sim", "sim.vvp"}
"""Names in the folder of a simulation that no file of a problem may have, nor a folder."""


class InvalidProblem(TapeoutError):
    """A problem set, or a problem in it, cannot be read."""


class Verdict(BaseModel):
    """Rule that decides from a test bench's output whether a design passed.

    Attributes:
        passed: regular expression of the line that reports success; exactly one line must match it as a whole.
        failed: regular expression of a line that reports a failure; no line may match it as a whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    passed: str
    failed: str

    @field_validator("passed", "failed")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return pattern

    def passes(self, output: str) -> bool:
        """Return whether an output reports success, once and without a failure; blanks around lines do not count."""
        successes, failures = self.reports(output)
        return len(successes) == 1 and not failures

    def reports(self, output: str) -> tuple[list[str], list[str]]:
        """Return the lines that report success, and those that report a failure."""
        lines = [line.strip() for line in output.splitlines()]
        successes = [line for line in lines if re.fullmatch(self.passed, line)]
        return successes, [line for line in lines if re.fullmatch(self.failed, line)]


PASS_LINE = Verdict(passed="PASS", failed="FAIL.*")
"""The project's own format: one line PASS, or a line that begins with FAIL."""
MISMATCHES = Verdict(passed=r"Mismatches: 0 in [1-9]\d* samples", failed=r"Mismatches: [1-9]\d* in \d+ samples.*")
"""VerilogEval: the number of samples in which the design and the reference differ."""


class Problem(BaseModel):
    """Problem of any format.

    Attributes:
        name: name, unique in its set; also usable as the name of a file.
        title: one line for tables.
        category: kind of design; ``unclassified`` if the set states none.
        difficulty: difficulty, in the same way.
        top: name of the module that is asked for.
        prompt: description of the design, for a model.
        dialect: what an answer contains: the whole module, or what follows ``header`` up to ``endmodule``.
        header: text before an answer of the dialect ``body``; empty for ``module``.
        golden: a whole source text that solves the problem; empty if the set has none.
        mutants: wrong source texts by name, which the test bench must reject.
        files: test bench and further files by relative path.
        sources: names of the ``files`` to compile with a design, in order; the others are data.
        context: those ``sources`` whose modules a design may use; they do not belong to the test bench.
        bench: name of the test bench's top module.
        verdict: rule for the test bench's output.
        unusable: reason why the problem cannot be judged here, a sentence; empty if it can.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=120)
    title: str = Field(min_length=1)
    category: str = UNCLASSIFIED
    difficulty: str = UNCLASSIFIED
    top: str
    prompt: str = Field(min_length=1)
    dialect: Dialect = "module"
    header: str = ""
    golden: str = ""
    mutants: dict[str, str] = {}
    files: dict[str, str] = {}
    sources: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    bench: str = ""
    verdict: Verdict = PASS_LINE
    unusable: str = ""

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if not name or "\0" in name or path.is_absolute() or ".." in path.parts or str(path) != name:
                raise ValueError(f"{name!r} is not a relative path in its shortest form")
        return files

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.dialect == "body") != bool(self.header):
            raise ValueError("a header belongs to the dialect body, and only to it")
        if missing := set(self.sources) - set(self.files):
            raise ValueError(f"sources names {min(missing)}, which is not one of the files")
        if missing := set(self.context) - set(self.sources):
            raise ValueError(f"context names {min(missing)}, which is not one of the sources")
        if not self.unusable and not (self.top and self.golden and self.bench and self.sources):
            raise ValueError("needs top, golden, bench and sources, or the reason why it is unusable")
        for name in () if self.unusable else sorted(self.files):
            path = PurePosixPath(name)
            if path.parts[0] in RESERVED:
                raise ValueError(f"the file {name} has a name that simulations need ({path.parts[0]})")
            if above := next((str(folder) for folder in path.parents if str(folder) in self.files), ""):
                raise ValueError(f"{above} cannot be a file and the folder of {name}")
        return self

    @property
    def hidden(self) -> set[str]:
        """Names of the modules that no design may use: the test bench, and what belongs to it."""
        texts = (self.files[name] for name in self.sources if name not in self.context)
        return {self.bench, *(name for text in texts for name in modules(text))} - {""}

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the problem."""
        content = orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()
