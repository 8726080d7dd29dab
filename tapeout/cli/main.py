"""What is there, why something runs, what it costs, and whether all is as it should be.

Exit codes: 0 as it should be, 1 there is something to do or a difference, 2 a mistake in the call, 3 a named error.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tapeout.cli.cost import cost as show_cost
from tapeout.cli.project import load
from tapeout.cli.push import push as run_push
from tapeout.cli.status import status as show_status
from tapeout.cli.verify import run as run_verify
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


@app.command()
def cost(as_json: AsJson = False, configfile: Config = []) -> None:  # noqa: B006
    """What a run would do, and the time and CPU hours that it would take at most."""
    raise typer.Exit(show_cost(load(configfile), as_json))


@app.command()
def verify(
    artifacts: Annotated[list[str] | None, typer.Argument(help="Names; none means all, and the store.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Restore or rebuild what is damaged.")] = False,
    as_json: AsJson = False,
    configfile: Config = [],  # noqa: B006
) -> None:
    """Is everything what its manifest says? Damaged entries of the store are put aside and named."""
    raise typer.Exit(run_verify(load(configfile), artifacts or [], deep, repair, configfile, as_json))


@app.command()
def push(
    addresses: Annotated[list[str] | None, typer.Argument(help="None means results/ and what is owed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give artifacts to the remote that TAPEOUT_REMOTE names, for others to restore."""
    raise typer.Exit(run_push(addresses or [], as_json))


def main() -> None:
    """Run the command line; a named error is two sentences and exit code 3."""
    try:
        app(prog_name="tapeout")
    except TapeoutError as error:
        print(error, file=sys.stderr)
        raise SystemExit(NAMED_ERROR) from None
