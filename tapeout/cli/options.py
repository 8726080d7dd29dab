"""Options that several commands share, shell completion of names, and refusal of options without effect."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli.start import CALLER
from tapeout.errors import TapeoutError
from tapeout.graph import named_runs
from tapeout.graph.run.progress import PlanProgress
from tapeout.graph.workspace import Workspace

CONFIGFILE = "--configfile"
SNAKEMAKE = re.compile(r"\b[Rr]un: snakemake \S+$")
EXPLICIT = ("./", "../", "/")


class InvalidUse(TapeoutError):
    """Arguments or options that contradict each other or would have no effect, or a renamed command."""


def refuse(context: typer.Context, names: Iterable[str], reason: str, fix: str) -> None:
    """Refuse options that would have no effect.

    Args:
        context: context of the command.
        names: parameters of the command that have no effect, even if set.
        reason: why; it completes the sentence "--option has no effect ...".
        fix: what to do instead.

    Raises:
        InvalidUse: one of them was given on the command line. Defaults and environment variables are fine.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise InvalidUse(f"{max(parameter.opts, key=len)} has no effect {reason}.", fix)


def with_configuration(error: TapeoutError, arguments: Iterable[str]) -> TapeoutError:
    """Return an error whose fix, if it ends with a command of Snakemake, names the configuration of a command line."""
    given, before = [], ""
    for argument in arguments:
        if before == CONFIGFILE:
            given.append(argument)
        elif argument.startswith(f"{CONFIGFILE}="):
            given.append(argument.partition("=")[2])
        before = argument
    if given and SNAKEMAKE.search(error.fix):
        error.fix += f" {CONFIGFILE} {shlex.join(given)}"
    return error


# -- paths: relative to the folder of the caller, which may be below the project's -------------------------------------


def caller_path(value: str) -> Path:
    """Return the path that an argument names, relative to the caller's folder.

    A leading ``~`` is expanded here, because no shell expands that of ``--option=~/x``.
    """
    value = os.path.expanduser(value)  # noqa: PTH111 - leaves ~name as it is if there is no such user
    return Path(value) if value.startswith(EXPLICIT) else Path(os.environ.get(CALLER, ".")) / value


def resolve_argument(argument: str) -> str:
    """Return an argument; if it begins with ``./`` or ``../``, relative to the project's folder."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    caller = os.environ.get(CALLER, ".")
    if caller == "." or not value.startswith(("./", "../")):
        return argument
    path = os.path.normpath(Path(caller, value))
    return f"{option}{equals}{path if path.startswith('../') else f'./{path}'}"


# -- completion: reads names that a former plan or run left in the folder, without starting Snakemake -----------------


def artifact_names(incomplete: str) -> list[str]:
    """Complete the name of an artifact that was planned or built in this folder."""
    workspace = Workspace.here()
    names = {*PlanProgress(workspace).artifacts, *named_runs.artifact_names(workspace.results)}
    return sorted(name for name in names if name.startswith(incomplete))


def run_names(incomplete: str) -> list[str]:
    """Complete the name of a named run."""
    return [run.name for run in named_runs.list_runs(Workspace.here()) if run.name.startswith(incomplete)]


def addresses(incomplete: str) -> list[str]:
    """Complete ``ARTIFACT``, ``ARTIFACT@RUN`` or ``@RUN``."""
    artifact, at, run = incomplete.partition("@")
    return [f"{artifact}@{name}" for name in run_names(run)] if at else artifact_names(incomplete)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--configfile", metavar="FILE", parser=caller_path, help="Merged over config/default.yaml; repeatable."
    ),
]
Artifact = Annotated[
    str, typer.Argument(metavar="ARTIFACT", help="A name from tapeout status.", autocompletion=artifact_names)
]
