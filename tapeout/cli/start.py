"""Find the project and start a program in its workflow environment: ``tapeout`` or ``snakemake``.

Uses the standard library alone: it runs in any Python 3.11, also where ``pip install .`` has put only this package. The
commands are those of the project, not those of the installed version.

Ctrl-C is held back until the started program receives it (``console.end_quietly``): Python prints a traceback if it
comes while an interpreter starts.
"""

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from tapeout.errors import TapeoutError
from tapeout.graph.errors import InvalidEnvironment
from tapeout.streams import write_error

CALLER = "TAPEOUT_CALLER"
"""Environment variable: folder of the caller below the project's folder; paths on the command line begin there."""
COMPLETE = "_TAPEOUT_COMPLETE"
"""Environment variable that a shell sets when it asks for completions of a command line."""
KEPT = ("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
"""Variables of Python that reach the started program.

Others would let it import modules that are not locked (PYTHONPATH), or change its errors, output or speed
(PYTHONHASHSEED, PYTHONWARNINGS, PYTHONOPTIMIZE).
"""
PATH_VARIABLES = ("TAPEOUT_STORE", "TAPEOUT_REMOTE", "TAPEOUT_DOWNLOADS", "TAPEOUT_ENVIRONMENTS")
"""Environment variables that name a folder."""
NAMED_ERROR = 3
"""Exit code after a ``TapeoutError``."""


class NoProject(TapeoutError):
    """The current folder has no workflow, or one that cannot be read, or no planned run."""


def find_project(folder: Path) -> Path:
    """Return the nearest folder above ``folder``, or itself, that is a project.

    Raises:
        NoProject: there is none.
    """
    for candidate in (folder, *folder.parents):
        if (candidate / "tapeout" / "cli").is_dir() and (candidate / "Snakefile").is_file():
            return candidate
    raise NoProject(
        f"There is no Snakefile in {folder} or a folder above it.",
        "Change to the project's folder, or name it: tapeout --project DIR COMMAND.",
    )


def split_arguments(arguments: list[str]) -> tuple[Path, list[str]]:
    """Return the folder that ``-C`` or ``--project`` names, by default the current one, and the other arguments.

    The option comes before the command.

    Raises:
        NoProject: the option names no folder.
    """
    folder, rest = Path(), list(arguments)
    while rest and rest[0].split("=")[0] in ("-C", "--project"):
        name, has_value, value = rest.pop(0).partition("=")
        if not has_value:
            value = rest.pop(0) if rest else ""
        folder /= value
        if not value or not folder.is_dir():
            raise NoProject(f"{name} {value} is not a folder.", "Name the project's folder.")
    return folder.absolute(), rest


def main() -> None:
    """Run a command in the project of the current folder, or of the one that is named."""
    with _named_errors():
        _start(sys.argv[1:])


def snakemake() -> None:
    """Run Snakemake in the current folder, which must be a project's."""
    with _named_errors():
        if not Path("tapeout").is_dir():
            raise NoProject("There is no Tapeout project in this folder.", "Change to the project's folder.")
        _execute(Path.cwd(), "tapeout.cli.run_snakemake", sys.argv[1:])


@contextmanager
def _named_errors() -> Iterator[None]:
    """Hold Ctrl-C back, and print a named error as two sentences.

    Raises:
        NoProject: the current folder was deleted.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        try:
            Path.cwd()
        except FileNotFoundError:
            raise NoProject("The current folder no longer exists.", "Change to the project's folder.") from None
        yield
    except TapeoutError as error:
        if COMPLETE in os.environ:
            raise SystemExit(0) from None  # nothing to complete here
        write_error(error)
        raise SystemExit(NAMED_ERROR) from None


def _start(arguments: list[str]) -> NoReturn:
    folder, rest = split_arguments(arguments)
    try:
        project = find_project(folder)
    except NoProject:
        if rest == ["--version"]:
            print("tapeout", _version())
            raise SystemExit(0) from None
        raise
    os.environ[CALLER] = str(folder.relative_to(project))
    _execute(project, "tapeout.cli", rest)


def expand_home() -> None:
    """Expand a leading ``~`` in the variables that name folders.

    No shell expands it in quotes, and a folder named ``~`` would be created.
    """
    for name in PATH_VARIABLES:
        if (value := os.environ.get(name)) is not None:
            os.environ[name] = os.path.expanduser(value)  # noqa: PTH111 - Path would shorten the // of an address


def _version() -> str:
    """Return the version of Tapeout, from pyproject.toml or, in an installed copy, from the package's metadata."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    if file.is_file():
        return str(tomllib.loads(file.read_text("utf-8"))["project"]["version"])
    return metadata.version("tapeout")


def _execute(project: Path, module: str, arguments: list[str]) -> NoReturn:
    """Replace this process by a module in the workflow environment of a project.

    Raises:
        InvalidEnvironment: it is not installed.
    """
    for name in [name for name in os.environ if name.startswith("PYTHON") and name not in KEPT]:
        del os.environ[name]
    expand_home()
    command = [sys.executable, "-m", "tapeout.graph.identity.environment", "--print-folder", "workflow"]
    printed = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, text=True, check=False)
    python = project / printed.stdout.strip() / "bin" / "python"
    if printed.returncode:
        cause = f"{sys.executable} cannot tell where the environment workflow is; its message is above."
        raise InvalidEnvironment(cause, "Correct what it names; a variable of Python (env | grep PYTHON) may be wrong.")
    if not python.is_file():
        raise InvalidEnvironment(
            f"The environment workflow of {project} is not installed.", "Run there: make environments"
        )
    os.chdir(project)
    os.execv(python, [str(python), "-m", module, *arguments])


if __name__ == "__main__":
    main()
