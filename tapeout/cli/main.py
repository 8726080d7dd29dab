"""Inspect, explain, verify and reproduce a build.

\b
Exit codes:
  0  success: nothing to do, or no difference
  1  something differs or is still to be done
  2  invalid command line
  3  named error, printed with its cause and a fix
"""

import os
import signal
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import typer.core

from tapeout.cli import (
    batch,
    chat,
    compare,
    cost,
    diff,
    export,
    gc,
    inspect,
    publish,
    push,
    rebuild,
    report,
    reproduce,
    runs,
    serve,
    sources,
    status,
    top,
    track,
    trust,
    verify,
    why,
)
from tapeout.cli.options import InvalidUse, resolve_argument, with_configuration
from tapeout.cli.output import NAMED_ERROR
from tapeout.cli.start import COMPLETE
from tapeout.errors import TapeoutError
from tapeout.graph.console import print_line
from tapeout.graph.files import report_disk_errors
from tapeout.graph.launch.process import children
from tapeout.streams import standard_streams

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_BETWEEN_CHECKS = 0.05
RENAMED = {"run-name": "runs save", "pin": "sources pin"}
"""Commands of version 0.1.0 with their present names."""


class Commands(typer.core.TyperGroup):
    """The commands; a former name is refused with the present one."""

    def get_command(self, context: Any, name: str) -> Any:
        """Return the command of this name, None if there is none."""
        if name in RENAMED:
            raise InvalidUse(
                f'"tapeout {name}" is now "tapeout {RENAMED[name]}".', f"See: tapeout {RENAMED[name]} --help"
            )
        return super().get_command(context, name)


app = typer.Typer(cls=Commands, help=__doc__, no_args_is_help=True, rich_markup_mode=None)
for command in (
    *(
        status.status,
        top.top,
        why.why,
        cost.cost,
        diff.diff,
        compare.compare,
        report.report,
        inspect.inspect,
        verify.verify,
        rebuild.rebuild,
    ),
    *(
        chat.chat,
        serve.serve,
        batch.batch,
        track.track,
        export.export,
        reproduce.reproduce,
        push.push,
        publish.publish,
        gc.gc,
    ),
):
    app.command()(command)
app.add_typer(runs.app, name="runs")
app.add_typer(sources.app, name="sources")
app.add_typer(trust.app, name="trust")


def _print_version(wanted: bool) -> None:
    if wanted:
        print("tapeout", tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["version"])
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Define the options of the program itself; its help is the module's docstring."""


def _end(number: int, frame: FrameType | None) -> None:
    """End the programs that this process has started, such as the run of a repair, and then the process itself.

    It ends by an exception, so that temporary files are removed.
    """
    for known in SIGNALS:
        signal.signal(known, signal.SIG_DFL)  # a second signal ends it at once
    for pid in children(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while children(os.getpid()):
        time.sleep(SECONDS_BETWEEN_CHECKS)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; a named error is printed as two sentences and ends with exit code 3.

    Ctrl-C, SIGTERM and SIGHUP leave neither temporary files nor processes.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        with standard_streams(NAMED_ERROR), report_disk_errors():
            app([resolve_argument(argument) for argument in sys.argv[1:]], prog_name="tapeout")
    except TapeoutError as error:
        if COMPLETE in os.environ:
            raise SystemExit(0) from None  # no message in the middle of a line that is being typed
        print_line(with_configuration(error, sys.argv[1:]))
        raise SystemExit(NAMED_ERROR) from None
