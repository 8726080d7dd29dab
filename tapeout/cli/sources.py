"""``tapeout sources``: records of sources."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli.options import AsJson
from tapeout.cli.output import NAMED_ERROR
from tapeout.graph.identity.environment import read_environment

app = typer.Typer(help="Prepare records for the sources file.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep ``pin`` a subcommand: typer would run the only command of a group as the group itself."""


@app.command()
def pin(
    source: Annotated[str, typer.Argument(metavar="REPOSITORY", help="hf_model:OWNER/NAME or hf_dataset:OWNER/NAME")],
    file: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Files to include; default: all. Repeatable.")
    ] = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    name: Annotated[str | None, typer.Option(help="Name of the source; default: the repository's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the pinned record of a Hugging Face repository.

    Asks the Hub (HF_ENDPOINT, HF_TOKEN) for the commit of a branch and for the SHA-256 of its files. Paste the record
    into a sources file.

    Exit code 0.
    """
    environment = read_environment("data")  # it has the client of the Hub
    environment.require()
    command = [str(environment.python), "-P", "-m", "tapeout.sources.pin", source, "--revision", revision]
    for pattern in file or []:
        command += ["--file", pattern]
    command += ["--name", name] if name else []
    command += ["--json"] if as_json else []
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    status = subprocess.run(command, env=variables, check=False).returncode
    raise typer.Exit(NAMED_ERROR if status == 1 else status)
