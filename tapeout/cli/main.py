"""``tapeout``: what is there, why something runs, what it costs.

Exit codes: 0 as it should be, 1 there is something to do or a difference, 2 a mistake in the call, 3 a named error.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli.project import load
from tapeout.cli.status import status as show_status
from tapeout.cli.why import why as explain
from tapeout.errors import TapeoutError

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Config = Annotated[list[Path], typer.Option("--configfile", help="Laid over config/default.yaml.")]
NAMED_ERROR = 3


@app.command()
def status(as_json: AsJson = False, configfile: Config = []) -> None:  # noqa: B006
    """Every artifact: current, in the store, stale or missing; size, digest, time."""
    raise typer.Exit(show_status(load(configfile), as_json))


@app.command()
def why(artifact: str, as_json: AsJson = False, configfile: Config = []) -> None:  # noqa: B006
    """What changed since ARTIFACT was made, and where the change began."""
    raise typer.Exit(explain(load(configfile), artifact, as_json))


def main() -> None:
    """Run the command line; a named error is two sentences and exit code 3."""
    try:
        app()
    except TapeoutError as error:
        print(error, file=sys.stderr)
        raise SystemExit(NAMED_ERROR) from None
