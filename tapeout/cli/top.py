"""``tapeout top``: live view of the run of this folder, one row per artifact that is not built yet."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from itertools import groupby
from textwrap import shorten
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tapeout.cli import output
from tapeout.cli.loss_plot import LossPlot
from tapeout.cli.options import AsJson, refuse
from tapeout.cli.start import NoProject
from tapeout.graph.console import format_duration
from tapeout.graph.plan.describe import duration
from tapeout.graph.run.monitor import Monitor, Queue, Row, StepStatus, View, collect_failures, log_tail
from tapeout.graph.run.progress import PlanProgress
from tapeout.graph.workspace import Workspace
from tapeout.slurm.client import SLURM

WIDE = 110
"""Minimum terminal width at which each number has its own column."""
NARROW = 38
"""Maximum characters of a one-line cell in a terminal of 80 columns, beside names and states of usual length."""
MAX_EQUAL_ROWS = 4
"""Rows of one rule in the same state; more of them are shown as one row."""
MAX_COUNT = 1_000_000
"""Steps, or bytes of a download; progress towards a larger total is shown in percent."""
LINES_OF_LOG = 12
QUEUE_SECONDS = 10.0
"""Seconds between two queries of the Slurm controller, and the timeout of each."""

COLOURS = {
    StepStatus.RUNNING: "green",
    StepStatus.STARTING: "green",
    StepStatus.UNKNOWN: "yellow",
    StepStatus.FAILED: "bold red",
    StepStatus.ENDED: "red",
    StepStatus.REQUEUED: "yellow",
    StepStatus.QUEUED: "yellow",
}


def top(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Print one table and exit; the default without a terminal.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="Interval between updates.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Watch the run of this folder.

    Shows one row per planned artifact that is not built yet, and a plot of the loss of the training that runs. Ends
    when the run ends.

    \b
    running    here, or as the Slurm job shown
    starting   its job has started, its program has not yet
    unknown    was running; Slurm's controller does not answer
    failed     its job failed; messages and the end of the log are shown below
    ended      its process or job is gone and left no result
    requeued   its job is back in the queue and will resume
    queued     its job waits in the queue, for the reason shown
    ready      its inputs exist; it waits for a core or for submission
    waiting    its inputs are not built yet
    to do      planned, and no run is in progress

    Exit code 1 if the last run ended before everything was built, else 0.
    """
    if once or as_json:
        refuse(context, ["every"], "on a single table", "Leave out --every, or --once and --json.")
    workspace = Workspace.here()
    if not PlanProgress(workspace).artifacts:
        raise NoProject("No run was planned in this folder.", "Change to the folder of a run, or start one.")
    monitor = Monitor(workspace)
    view = monitor.view()
    if view.queue is not None:
        view.queue.refresh(QUEUE_SECONDS)
        view = monitor.view()
    if as_json:
        output.show(_value(view, workspace), True)
    elif once or not output.console.is_terminal or not view.alive:
        plot = LossPlot(workspace).lines(view, output.console.width, None)
        output.show(None, False, *_parts(view, workspace, None), *map(Text, plot))
        _print_end(view, workspace)
    else:
        view = _follow(monitor, view, every)
        _print_end(view, workspace)
    raise typer.Exit(1 if view.failed else 0)


def _follow(monitor: Monitor, view: View, every: float) -> View:
    """Update the table until the run ends or the user interrupts, and return the last view."""
    ended = threading.Event()
    threading.Thread(target=_refresh_queue, args=(monitor, ended), daemon=True).start()
    plot = LossPlot(monitor.workspace)
    try:
        with Live(console=output.console, auto_refresh=False) as live:
            while True:
                width, height = output.console.size
                curve = plot.lines(view, width, height)
                parts = _parts(view, monitor.workspace, height - len(curve))
                live.update(Group(*parts, *map(Text, curve)), refresh=True)
                if not view.alive:
                    break
                time.sleep(every)
                view = monitor.view()
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
    return view


def _refresh_queue(monitor: Monitor, ended: threading.Event) -> None:
    """Query the controller in a separate thread, because it may be slow to answer."""
    while not ended.wait(QUEUE_SECONDS):
        if monitor.queue is not None:
            monitor.queue.refresh(QUEUE_SECONDS)


def _parts(view: View, workspace: Workspace, height: int | None) -> list[Table | Text | str]:
    """Return headline, Slurm error, rows and, while a run is in progress, its failures.

    ``height`` is the largest number of lines; None stands for no limit.
    """
    parts: list[Table | Text | str] = [_headline(view)]
    if view.rows and view.queue is not None and view.queue.error:
        parts.append(Text(_trouble(view.queue, view.now), style="yellow"))
    failures = "\n".join(_failures(view, workspace)).splitlines() if view.alive else []
    rows = list(_grouped(view.rows))
    if height is not None:
        failures = failures[: height // 3]
    wide = output.console.width >= WIDE
    room = len(rows) if height is None else max(3, (height - 8 - len(parts) - len(failures)) // (1 if wide else 2))
    if rows:
        parts += ["", (_wide if wide else _narrow)(rows[:room], view.now)]
    if rest := sum(count for _, count in rows[room:]):
        parts.append(f"and {rest:,} more")
    return [*parts, *([Text("\n" + "\n".join(failures))] if failures else [])]


def _headline(view: View) -> str:
    record = view.record
    counts = f"{view.completed:,} of {view.completed + len(view.rows):,} built"
    counts += f", {view.existing:,} reused" if view.existing else ""
    if record is None:
        return f"Plan: {counts}; no run yet."
    if view.alive:
        elapsed = view.now - record.started
        through = " through Slurm" if record.executor == SLURM else ""
        name = ", ".join(record.targets)
        took = format_duration(elapsed) if elapsed < 3600 else duration(elapsed)
        return f"{name}: {counts}; {took} on {record.host}{through}."
    if record.ended is None:
        return f"Plan: {counts}; no run: the last, process {record.pid} on {record.host}, was killed."
    return f"Plan: {counts}; no run: the last ended {duration(view.now - record.ended)} ago."


def _trouble(queue: Queue, now: float) -> str:
    known = f"jobs as of {duration(now - queue.answered)} ago" if queue.answered is not None else "jobs are not known"
    return f"{shorten(queue.error, 200).rstrip('.')}; {known}."


def _grouped(rows: Iterable[Row]) -> Iterable[tuple[Row, int]]:
    """Yield rows, each with the number of rows that it summarizes: many equal rows of a rule become one row."""

    def key(row: Row) -> tuple[Any, ...]:
        plain = row.done is None and row.status in (
            StepStatus.QUEUED,
            StepStatus.READY,
            StepStatus.WAITING,
            StepStatus.TO_DO,
        )
        return (row.status, row.rule, row.reason, bool(row.waits_for)) if plain else (row.artifact,)

    for _, group in groupby(rows, key=key):
        same = list(group)
        if len(same) <= MAX_EQUAL_ROWS:
            yield from ((row, 1) for row in same)
        else:
            yield same[0], len(same)


def _name(row: Row, count: int) -> str:
    return row.artifact if count == 1 else f"{count:,} of {row.rule}"


def _state(row: Row) -> Text:
    return Text(str(row.status), style=COLOURS.get(row.status, "dim"))


def _where(row: Row, now: float) -> str:
    """Return where the step runs, or why it does not."""
    if row.waits_for:
        first, rest = row.waits_for[0], len(row.waits_for) - 1
        return f"for {first}" + (f" and {rest} more" if rest else "")
    parts = ["here" if not row.job and row.node == socket.gethostname() else row.node, row.reason]
    if row.status is StepStatus.UNKNOWN and row.updated is not None:
        parts.append(f"last message {duration(now - row.updated)} ago")
    if row.start:
        parts.append(f"starts {_moment(row.start, now)}")
    return ", ".join(filter(None, parts))


def _moment(text: str, now: float) -> str:
    """Format a time reported by Slurm, without the date if it is today."""
    try:
        time_ = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time_:%H:%M}" if time_.date() == datetime.fromtimestamp(now).date() else f"{time_:%d %b %H:%M}"


def _left(row: Row) -> str:
    if row.remaining is None:
        return ""
    return f"{'~' if row.estimated else ''}{duration(row.remaining)}"


def _step(row: Row) -> str:
    if row.done is None or row.total is None:
        return ""
    return f"{row.done:,}/{row.total:,}" if row.total < MAX_COUNT else f"{100 * row.done // row.total} %"


COLUMNS = {"loss": "loss", "tokens_per_second": "tokens/s"}
"""Reported values that have a column, with its header."""
PHRASES = {"loss": "loss {}", "tokens_per_second": "{} tokens/s"}
"""The same values in running text."""


def _number(row: Row, name: str) -> str:
    value = row.values.get(name)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _others(row: Row) -> list[str]:
    return [f"{name} {value}" for name, value in row.values.items() if name not in COLUMNS]


def _wide(rows: list[tuple[Row, int]], now: float) -> Table:
    columns: dict[str, Callable[[Row], str]] = {
        ">job": lambda row: row.job,
        ">GPUs": lambda row: str(row.gpus or ""),
        "where, why": lambda row: ", ".join(filter(None, [_where(row, now), *_others(row)])),
        ">step": _step,
        **{f">{word}": partial(_number, name=name) for name, word in COLUMNS.items()},
        ">left": _left,
    }
    cells = {name: [text(row) for row, _ in rows] for name, text in columns.items()}
    used = [name for name, texts in cells.items() if any(texts)]
    table = _empty(["artifact", "state", *used], 44)
    for column in table.columns[2:]:
        column.no_wrap = column.header != "where, why"
    for index, (row, count) in enumerate(rows):
        table.add_row(_name(row, count), _state(row), *(cells[name][index] for name in used))
    return table


def _narrow(rows: list[tuple[Row, int]], now: float) -> Table:
    """Return the table for 80 columns, with the numbers of a running program on a separate line."""
    table = _empty(["artifact", "state", "where, why"], 32)
    for row, count in rows:
        job = [f"job {row.job}" if row.job else "", f"{row.gpus} GPUs" if row.gpus else "", _where(row, now)]
        left = f"{_left(row)} left" if row.remaining is not None else ""
        numbers = [PHRASES[name].format(_number(row, name)) for name in COLUMNS if name in row.values]
        lines = [", ".join(filter(None, part)) for part in (job, [_step(row), left, *numbers, *_others(row)])]
        text = ", ".join(filter(None, lines))
        table.add_row(_name(row, count), _state(row), text if len(text) <= NARROW else "\n".join(filter(None, lines)))
    return table


def _empty(columns: list[str], max_width: int) -> Table:
    """Return a table without rows whose first column has at most ``max_width`` characters."""
    table = output.table(columns, [])
    for column in table.columns:  # without rows, no column has long cells
        column.no_wrap = column.header == "state"
    table.columns[0].max_width = max_width
    return table


def _failures(view: View, workspace: Workspace) -> list[str]:
    """Return the messages of the jobs that failed in the last run, with the last lines of their logs."""
    return [
        "\n".join([failure.text, *log_tail(failure, LINES_OF_LOG)])
        for failure in collect_failures(view, workspace.work)
    ]


def _print_end(view: View, workspace: Workspace) -> None:
    """Print how the last run ended."""
    if view.alive or view.record is None:
        return
    for text in _failures(view, workspace):
        output.console.print(f"\n{text}", markup=False, soft_wrap=True)
    if view.record.summary:
        output.console.print(f"\n{view.record.summary}", markup=False)


def _value(view: View, workspace: Workspace) -> dict[str, Any]:
    record, queue = view.record, view.queue
    return {
        "time": view.now,
        "alive": view.alive,
        "existing": view.existing,
        "completed": view.completed,
        "run": None
        if record is None
        else {
            name: getattr(record, name)
            for name in ("run", "pid", "host", "started", "ended", "executor", "targets", "summary")
        }
        | {"failures": [asdict(failure) for failure in collect_failures(view, workspace.work)]},
        "slurm": None if queue is None else {"answered": queue.answered, "error": queue.error},
        "rows": [asdict(row) for row in view.rows],
    }
