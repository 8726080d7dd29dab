"""One small project under plain Snakemake and under Tapeout, for the same experiments on both.

The project is ``tests/graph/project``. Both run the same programs on the same files; ``benchmarks/plain/Snakefile``
has the rules as a careful user of plain Snakemake writes them.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from tapeout.graph.identity.digest import digest_file
from tests.graph.conftest import Project, make_project
from tests.starter import run_module

PLAIN = Path(__file__).parent / "plain" / "Snakefile"
SOURCE = "b\na\nc\n" + "a\n" * 1_000_000
"""Two megabytes, because plain Snakemake compares the bytes of files of up to one megabyte."""


@dataclass
class Side(Project):
    """The project under one of the two tools; ``settings`` are arguments of every run."""

    settings: tuple[str, ...] = ()
    caching: tuple[str, ...] = ()
    """Arguments of a run that uses the store of results."""

    def command(self, *arguments: str) -> list[str]:
        """Return the command of a run."""
        return super().command(*self.settings, *arguments)

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a run."""
        return {**super().variables(), "SNAKEMAKE_OUTPUT_CACHE": str(self.path("store"))}

    @abstractmethod
    def ran(self, *arguments: str) -> set[str]:
        """Run, and return the names of the rules that ran; a failing run is an error of the experiment."""

    @abstractmethod
    def why(self) -> str:
        """Return the tool's explanation of why the model is built again."""

    @abstractmethod
    def check(self) -> str:
        """Find and repair altered results with the tool's command; return its output."""

    @abstractmethod
    def written(self) -> bool:
        """Return whether the running program of ``raw`` has read the source and written its output."""

    @abstractmethod
    def stored(self) -> Path:
        """Return the file in the store with the content of ``formatted.txt``."""

    def results(self) -> dict[str, str]:
        """Return the digest of every result file by name, without the tools' own files."""
        root = self.path("results")
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and ".graph" not in path.parts]
        own = [path for path in files if not path.match("*.manifest.json") and path.name != ".snakemake_timestamp"]
        return {str(path.relative_to(root)): digest_file(path) for path in own}

    def forget(self) -> None:
        """Delete the results and Snakemake's own records."""
        shutil.rmtree(self.path("results"))
        shutil.rmtree(self.path(".snakemake"))


class Plain(Side):
    """Plain Snakemake."""

    @override
    def ran(self, *arguments: str) -> set[str]:
        text = self.run(*arguments).text
        return set(re.findall(r"^(?:local)?rule (\w+):$", text, flags=re.MULTILINE)) - {"all"}

    @override
    def why(self) -> str:
        found = re.search(r"^rule model:\n(?:    .*\n)*?    reason: (.*)", self.run("-n").text, flags=re.MULTILINE)
        return found[1].strip() if found else ""

    @override
    def check(self) -> str:
        return ""  # plain Snakemake has no such command

    @override
    def written(self) -> bool:
        return self.path("results/raw.txt").exists() and self.path("results/raw.txt").stat().st_size > 0

    @override
    def stored(self) -> Path:
        (found,) = [path for path in self.path("store").iterdir() if path.read_bytes() == b"a\nb\nc\n"]
        return found


class Tapeout(Side):
    """Snakemake with the content layer."""

    @override
    def ran(self, *arguments: str) -> set[str]:
        return {Path(name).parts[0].removesuffix(".txt") for name in self.run(*arguments).built}

    @override
    def why(self) -> str:
        return self._tapeout("why", "model")

    @override
    def check(self) -> str:
        return self._tapeout("verify", "--deep", "--repair")

    def _tapeout(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tapeout.cli", *arguments]
        variables = {**self.variables(), "COLUMNS": "120"}
        done = run_module(command, self.root, variables, timeout=300)
        return " ".join(re.sub("[─━]+", " ", done.stdout).split())

    @override
    def written(self) -> bool:
        return any(path.stat().st_size for path in self.root.glob("work/*/output.*/raw.txt"))

    @override
    def stored(self) -> Path:
        digest = json.loads(self.path("results/formatted.txt.manifest.json").read_bytes())["digest"]
        return self.path(f"store/objects/{digest[:2]}/{digest}")


def make(kind: type[Side], root: Path, *settings: str) -> Side:
    """Create the project of an experiment in the new folder ``root`` and build it once."""
    make_project(root)
    (root / "store").mkdir()
    side = kind(root, settings, ("--cache",) if kind is Plain else ())
    if kind is Plain:
        shutil.rmtree(root / "rules")
        shutil.rmtree(root / "profiles")
        shutil.copyfile(PLAIN, root / "Snakefile")
    (root / "config.yaml").write_text("model: {lr: 1, wd: 2, pause: 0}\n")
    (root / "src" / "data.txt").write_text(SOURCE)
    side.run()
    return side


def copied(side: Side, root: Path) -> Side:
    """Copy the project to the new folder ``root``, with file times and hard links."""
    subprocess.run(["cp", "-a", side.root, root], check=True)
    return type(side)(root, side.settings, side.caching)


def truth(side: Side) -> dict[str, str]:
    """Return the digests of the programs' output when they run one after the other in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Plain(Path(folder))
        for name in ("scripts", "lib", "src"):
            shutil.copytree(side.path(name), empty.path(name))
        empty.path("results/notes").mkdir(parents=True)
        model = yaml.safe_load(side.path("config.yaml").read_text())["model"]
        _program(empty, "raw", "raw.txt", {})
        _program(empty, "formatted", "formatted.txt", {}, "--raw", "raw.txt")
        _program(empty, "model", "model", model, "--formatted", "formatted.txt")
        for language in ("en", "de"):
            _program(empty, "notes", f"notes/{language}.txt", {"language": language})
        notes = ("--notes", "notes/en.txt", "--notes", "notes/de.txt")
        _program(empty, "report", "report.txt", {}, "--model", "model/weights.txt", *notes)
        return empty.results()


def _program(where: Side, name: str, output: str, params: dict[str, Any], *inputs: str) -> None:
    where.path("params.json").write_text(json.dumps(params))
    given = [item if item.startswith("--") else f"results/{item}" for item in (*inputs, "--output", output)]
    command = [sys.executable, f"scripts/{name}.py", "--params", "params.json", *given]
    subprocess.run(command, cwd=where.root, env={**where.variables(), "PYTHONPATH": "."}, check=True)
