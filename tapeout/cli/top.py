"""``tapeout top``: the run of this folder while it goes on, one row for each artifact that is not there yet."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from itertools import groupby
from textwrap import shorten
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tapeout.cli import output
from tapeout.cli.project import NoProject
from tapeout.graph.console import format_duration
from tapeout.graph.plan.describe import duration
from tapeout.graph.run.monitor import Monitor, Queue, Row, StepStatus, View, collect_failures, log_tail
from tapeout.graph.run.progress import PlanProgress
from tapeout.graph.workspace import Workspace
from tapeout.slurm.client import SLURM

WIDE = 110
"""Columns of a terminal in which each number has a column of its own."""
NARROW = 38
"""Characters of one line behind names and states of usual length in 80 columns."""
ALIKE = 4
"""Rows of one rule that wait for the same kind of thing and are shown as one if they are more."""
A_LOT = 1_000_000
"""Of so many steps (bytes, as a rule) the part that is done says more."""
LINES_OF_LOG = 12
SECONDS_BETWEEN_QUESTIONS = 10.0
"""To the controller of the cluster, which many people ask."""
PATIENCE = 10.0
"""Seconds for which the controller may be silent before its last answer is shown with its age."""

COLOURS = {
    StepStatus.RUNNING: "green",
    StepStatus.STARTING: "green",
    StepStatus.UNKNOWN: "yellow",
    StepStatus.FAILED: "bold red",
    StepStatus.ENDED: "red",
    StepStatus.REQUEUED: "yellow",
    StepStatus.QUEUED: "yellow",
}


def top(workspace: Workspace, once: bool, as_json: bool, every: float) -> int:
    """Show the run until it has ended; returns 1 if the last one ended before everything was there.

    Args:
        workspace: of the folder.
        once: show one table and end; also without a terminal.
        as_json: print one document and end.
        every: seconds between two looks.

    Raises:
        NoProject: nothing was planned in this folder.
    """
    if not PlanProgress(workspace).artifacts:
        raise NoProject("No run was planned in this folder.", "Go to the folder of the run, or begin one.")
    monitor = Monitor(workspace)
    view = monitor.view()
    if view.queue is not None:
        view.queue.refresh(PATIENCE)
        view = monitor.view()
    if as_json:
        output.show(_value(view, workspace), True)
    elif once or not output.console.is_terminal or not view.alive:
        output.show(None, False, *_shown(view, workspace, None))
        _print_end(view, workspace)
    else:
        view = _follow(monitor, view, every)
        _print_end(view, workspace)
    return 1 if view.failed else 0


def _follow(monitor: Monitor, view: View, every: float) -> View:
    """Show the table until the run has ended, or the user has seen enough."""
    ended = threading.Event()
    asking = threading.Thread(target=_ask_again, args=(monitor, ended), daemon=True)
    asking.start()
    try:
        with Live(console=output.console, auto_refresh=False) as live:
            while True:
                live.update(Group(*_shown(view, monitor.workspace, output.console.height)), refresh=True)
                if not view.alive:
                    break
                time.sleep(every)
                view = monitor.view()
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
    return view


def _ask_again(monitor: Monitor, ended: threading.Event) -> None:
    """Ask the controller now and then, beside the table: it may be silent for long."""
    while not ended.wait(SECONDS_BETWEEN_QUESTIONS):
        if monitor.queue is not None:
            monitor.queue.refresh(SECONDS_BETWEEN_QUESTIONS)


def _shown(view: View, workspace: Workspace, height: int | None) -> list[Table | Text | str]:
    """Headline, what is to be known of the cluster, rows and, while a run goes on, its failures.

    Args:
        view: what to show.
        workspace: of the run.
        height: how many lines there is room for; None for as many as it takes.
    """
    parts: list[Table | Text | str] = [_headline(view)]
    if view.rows and view.queue is not None and view.queue.error:
        parts.append(Text(_away(view.queue, view.now), style="yellow"))
    failures = "\n".join(_failures(view, workspace)).splitlines() if view.alive else []
    folded = list(_folded(view.rows))
    if height is not None:
        failures = failures[: height // 3]
    wide = output.console.width >= WIDE
    room = len(folded) if height is None else max(3, (height - 8 - len(parts) - len(failures)) // (1 if wide else 2))
    if folded:
        parts += ["", (_wide if wide else _narrow)(folded[:room], view.now)]
    if rest := sum(count for _, count in folded[room:]):
        parts.append(f"and {rest:,} more")
    return [*parts, *([Text("\n" + "\n".join(failures))] if failures else [])]


def _headline(view: View) -> str:
    record = view.record
    counts = f"{view.completed:,} of {view.completed + len(view.rows):,} made"
    counts += f", {view.existing:,} {'was' if view.existing == 1 else 'were'} there" if view.existing else ""
    if record is None:
        return f"Plan: {counts}; no run yet."
    if view.alive:
        time_ = view.now - record.started
        through = " through Slurm" if record.executor == SLURM else ""
        name = ", ".join(record.targets)
        took = format_duration(time_) if time_ < 3600 else duration(time_)
        return f"{name}: {counts}; {took} on {record.host}{through}."
    if record.ended is None:
        return f"Plan: {counts}; no run: the last, process {record.pid} on {record.host}, was killed."
    return f"Plan: {counts}; no run: the last ended {duration(view.now - record.ended)} ago."


def _away(queue: Queue, now: float) -> str:
    known = f"jobs as of {duration(now - queue.answered)} ago" if queue.answered is not None else "jobs are not known"
    return f"{shorten(queue.error, 200).rstrip('.')}; {known}."


def _folded(rows: Iterable[Row]) -> Iterable[tuple[Row, int]]:
    """Rows with how many they stand for: many of one rule that say the same are one."""

    def alike(row: Row) -> tuple[Any, ...]:
        plain = row.done is None and row.status in (
            StepStatus.QUEUED,
            StepStatus.READY,
            StepStatus.WAITING,
            StepStatus.TO_DO,
        )
        return (row.status, row.rule, row.reason, bool(row.waits_for)) if plain else (row.artifact,)

    for _, group in groupby(rows, key=alike):
        same = list(group)
        if len(same) <= ALIKE:
            yield from ((row, 1) for row in same)
        else:
            yield same[0], len(same)


def _name(row: Row, count: int) -> str:
    return row.artifact if count == 1 else f"{count:,} of {row.rule}"


def _state(row: Row) -> Text:
    return Text(str(row.status), style=COLOURS.get(row.status, "dim"))


def _where(row: Row, now: float) -> str:
    """Where it runs, or why it does not."""
    if row.waits_for:
        first, rest = row.waits_for[0], len(row.waits_for) - 1
        return f"for {first}" + (f" and {rest} more" if rest else "")
    parts = ["here" if not row.job and row.node == socket.gethostname() else row.node, row.reason]
    if row.status is StepStatus.UNKNOWN and row.updated is not None:
        parts.append(f"last word {duration(now - row.updated)} ago")
    if row.start:
        parts.append(f"starts {_moment(row.start, now)}")
    return ", ".join(filter(None, parts))


def _moment(text: str, now: float) -> str:
    """A time of Slurm's: the hour alone if it is today."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{found:%H:%M}" if found.date() == datetime.fromtimestamp(now).date() else f"{found:%d %b %H:%M}"


def _left(row: Row) -> str:
    if row.remaining is None:
        return ""
    return f"{'~' if row.estimated else ''}{duration(row.remaining)}"


def _step(row: Row) -> str:
    if row.done is None or row.total is None:
        return ""
    return f"{row.done:,}/{row.total:,}" if row.total < A_LOT else f"{100 * row.done // row.total} %"


NAMED = {"loss": "loss", "tokens_per_second": "tokens/s"}
"""What programs say that has a column of its own."""
SAID = {"loss": "loss {}", "tokens_per_second": "{} tokens/s"}
"""The same in a sentence."""


def _said(row: Row, name: str) -> str:
    value = row.values.get(name)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _others(row: Row) -> list[str]:
    return [f"{name} {value}" for name, value in row.values.items() if name not in NAMED]


def _wide(rows: list[tuple[Row, int]], now: float) -> Table:
    columns: dict[str, Callable[[Row], str]] = {
        ">job": lambda row: row.job,
        ">GPUs": lambda row: str(row.gpus or ""),
        "where, why": lambda row: ", ".join(filter(None, [_where(row, now), *_others(row)])),
        ">step": _step,
        **{f">{word}": partial(_said, name=name) for name, word in NAMED.items()},
        ">left": _left,
    }
    cells = {name: [text(row) for row, _ in rows] for name, text in columns.items()}
    used = [name for name, texts in cells.items() if any(texts)]
    made = _empty(["artifact", "state", *used], 44)
    for column in made.columns[2:]:
        column.no_wrap = column.header != "where, why"
    for place, (row, count) in enumerate(rows):
        made.add_row(_name(row, count), _state(row), *(cells[name][place] for name in used))
    return made


def _narrow(rows: list[tuple[Row, int]], now: float) -> Table:
    """The same in 80 columns: what a running program says stands in a line of its own."""
    made = _empty(["artifact", "state", "where, why"], 32)
    for row, count in rows:
        held = [f"job {row.job}" if row.job else "", f"{row.gpus} GPUs" if row.gpus else "", _where(row, now)]
        left = f"{_left(row)} left" if row.remaining is not None else ""
        numbers = [SAID[name].format(_said(row, name)) for name in NAMED if name in row.values]
        lines = [", ".join(filter(None, part)) for part in (held, [_step(row), left, *numbers, *_others(row)])]
        together = ", ".join(filter(None, lines))
        made.add_row(
            _name(row, count), _state(row), together if len(together) <= NARROW else "\n".join(filter(None, lines))
        )
    return made


def _empty(columns: list[str], longest: int) -> Table:
    """A table whose first column is no wider than ``longest``."""
    made = output.table(columns, [])
    made.columns[0].no_wrap, made.columns[0].max_width, made.columns[1].no_wrap = False, longest, True
    return made


def _failures(view: View, workspace: Workspace) -> list[str]:
    """What the jobs said that failed in the last run, with the last lines of their logs."""
    return [
        "\n".join([failure.text, *log_tail(failure, LINES_OF_LOG)])
        for failure in collect_failures(view, workspace.work)
    ]


def _print_end(view: View, workspace: Workspace) -> None:
    """How the last run ended."""
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
