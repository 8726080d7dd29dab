"""``tapeout top``: the run of this folder while it goes on, one row for each artifact that is not there yet."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from textwrap import shorten
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tapeout.cli import output
from tapeout.cli.project import NoProject
from tapeout.graph.plan import duration
from tapeout.graph.planned import Planned
from tapeout.graph.watch import Queue, Row, Standing, View, Watch, reasons, tail
from tapeout.graph.words import clock
from tapeout.graph.workspace import Workspace

WIDE = 110
"""Columns of a terminal in which each number has a column of its own."""
ALIKE = 4
"""Rows of one rule that wait for the same kind of thing and are shown as one if they are more."""
LINES_OF_LOG = 12
SECONDS_BETWEEN_QUESTIONS = 10.0
"""To the controller of the cluster, which many people ask."""
PATIENCE = 10.0
"""Seconds for which the controller may be silent before its last answer is shown with its age."""

COLOURS = {
    Standing.RUNNING: "green",
    Standing.STARTING: "green",
    Standing.UNSEEN: "yellow",
    Standing.FAILED: "bold red",
    Standing.ENDED: "red",
    Standing.REQUEUED: "yellow",
    Standing.QUEUED: "yellow",
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
    if not Planned(workspace).artifacts:
        raise NoProject("No run was planned in this folder.", "Go to the folder of the run, or begin one.")
    watch = Watch(workspace)
    view = watch.look()
    if view.queue is not None:
        view.queue.refresh(PATIENCE)
        view = watch.look()
    if as_json:
        output.show(_value(view, workspace), True)
    elif once or not output.console.is_terminal or not view.alive:
        output.show(None, False, *_shown(view, None))
        _print_end(view, workspace)
    else:
        view = _follow(watch, view, every)
        _print_end(view, workspace)
    return 1 if view.failed else 0


def _follow(watch: Watch, view: View, every: float) -> View:
    """Show the table until the run has ended, or the user has seen enough."""
    ended = threading.Event()
    asking = threading.Thread(target=_ask_again, args=(watch, ended), daemon=True)
    asking.start()
    try:
        with Live(Group(*_shown(view, output.console.height)), console=output.console, auto_refresh=False) as live:
            while view.alive:
                time.sleep(every)
                view = watch.look()
                live.update(Group(*_shown(view, output.console.height)), refresh=True)
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
    return view


def _ask_again(watch: Watch, ended: threading.Event) -> None:
    """Ask the controller now and then, beside the table: it may be silent for long."""
    while not ended.wait(SECONDS_BETWEEN_QUESTIONS):
        if watch.queue is not None:
            watch.queue.refresh(SECONDS_BETWEEN_QUESTIONS)


def _shown(view: View, height: int | None) -> list[Table | Text | str]:
    """Headline, what is to be known of the cluster, and the rows, so many lines as there is room for."""
    parts: list[Table | Text | str] = [_headline(view)]
    if view.rows and view.queue is not None and view.queue.trouble:
        parts.append(Text(_away(view.queue, view.now), style="yellow"))
    folded = list(_folded(view.rows))
    room = len(folded) if height is None else max(3, height - 6 - len(parts))
    if folded:
        wide = output.console.width >= WIDE
        parts += ["", (_wide if wide else _narrow)(folded[:room], view.now)]
    if len(folded) > room:
        parts.append(f"and {output.count(sum(count for _, count in folded[room:]), 'more artifact')}")
    return parts


def _headline(view: View) -> str:
    there = f"{view.there} there before" if view.there else ""
    counts = [f"{view.made} of {output.count(view.made + len(view.rows), 'planned artifact')} made", there]
    course = view.course
    if course is None:
        begun = "no run yet"
    elif view.alive:
        begun = f"for {clock(view.now - course.begun)} on {course.host}"
        begun = f"{begun} ({course.executor}, process {course.pid})"
    elif course.ended is not None:
        begun = f"no run; the last ended {duration(view.now - course.ended)} ago"
    else:
        begun = f"no run; the last, process {course.pid} on {course.host}, was killed"
    name = ", ".join(course.targets) if course is not None and view.alive else "Plan"
    return f"{name}: {', '.join(filter(None, [*counts, begun]))}."


def _away(queue: Queue, now: float) -> str:
    known = f"jobs as of {duration(now - queue.asked)} ago" if queue.asked is not None else "jobs are not known"
    return f"{shorten(queue.trouble, 200).rstrip('.')}; {known}."


def _folded(rows: Iterable[Row]) -> Iterable[tuple[Row, int]]:
    """Rows with how many they stand for: many of one rule that say the same are one."""

    def alike(row: Row) -> tuple[Any, ...]:
        plain = row.done is None and row.standing in (Standing.QUEUED, Standing.READY, Standing.WAITING, Standing.TO_DO)
        return (row.standing, row.rule, row.reason, bool(row.waits_for)) if plain else (row.artifact,)

    for _, group in groupby(rows, key=alike):
        same = list(group)
        if len(same) <= ALIKE:
            yield from ((row, 1) for row in same)
        else:
            yield same[0], len(same)


def _name(row: Row, count: int) -> str:
    return row.artifact if count == 1 else f"{row.artifact} and {count - 1:,} more of {row.rule}"


def _state(row: Row) -> Text:
    return Text(str(row.standing), style=COLOURS.get(row.standing, "dim"))


def _why(row: Row, now: float) -> str:
    """Why it is not running, in a few words."""
    if row.waits_for:
        first, rest = row.waits_for[0], len(row.waits_for) - 1
        return f"for {first}" + (f" and {rest} more" if rest else "")
    parts = [_reason(row.reason)] if row.reason else []
    if row.standing is Standing.UNSEEN and row.seen is not None:
        parts.append(f"last word {duration(now - row.seen)} ago")
    if row.start:
        parts.append(f"starts {_moment(row.start, now)}")
    return ", ".join(parts)


def _reason(reason: str) -> str:
    """Slurm's own word, and what it means where that is not plain."""
    meanings = {"Priority": "others first", "Resources": "no free node", "BeginTime": "back in the queue"}
    return f"{reason} ({meanings[reason]})" if reason in meanings else reason


def _moment(text: str, now: float) -> str:
    """A time of Slurm's: the hour if it is today."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{found:%H:%M}" if found.date() == datetime.fromtimestamp(now).date() else f"{found:%a %d %b %H:%M}"


def _left(row: Row) -> str:
    if row.remaining is None:
        return ""
    return f"{'~' if row.guessed else ''}{duration(row.remaining)}"


def _step(row: Row) -> str:
    return "" if row.done is None else f"{row.done:,}/{row.total:,}"


def _value_of(row: Row, name: str) -> str:
    value = row.values.get(name)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


NAMED = {"loss": "loss", "tokens_per_second": "tokens/s"}
"""What programs say that has a place of its own; all else stands behind it."""


def _others(row: Row) -> list[str]:
    return [f"{name} {value}" for name, value in row.values.items() if name not in NAMED]


def _wide(rows: list[tuple[Row, int]], now: float) -> Table:
    columns: dict[str, Callable[[Row], str]] = {
        ">job": lambda row: row.job,
        "node": lambda row: row.node,
        ">GPUs": lambda row: str(row.gpus or ""),
        ">step": _step,
        ">loss": lambda row: _value_of(row, "loss"),
        ">tokens/s": lambda row: _value_of(row, "tokens_per_second"),
        ">left": _left,
        "": lambda row: ", ".join(filter(None, [_why(row, now), *_others(row)])),
    }
    cells = {name: [text(row) for row, _ in rows] for name, text in columns.items()}
    used = [name for name, texts in cells.items() if any(texts)]
    made = output.table(["artifact", "state", *used], [])
    for place, (row, count) in enumerate(rows):
        made.add_row(_name(row, count), _state(row), *(cells[name][place] for name in used))
    return made


def _narrow(rows: list[tuple[Row, int]], now: float) -> Table:
    """The same in 80 columns: a second line for what a running program says."""
    jobs, gpus = any(row.job for row, _ in rows), any(row.gpus for row, _ in rows)
    heads = ["artifact", "state", *([">job"] if jobs else []), *([">GPUs"] if gpus else []), ">left", ""]
    made = output.table(heads, [])
    for row, count in rows:
        named = [f"{word} {_value_of(row, name)}" for name, word in NAMED.items() if name in row.values]
        said = "  ".join(filter(None, [_step(row), *named, *_others(row)]))
        where = row.node if row.standing is not Standing.WAITING else ""
        why = ", ".join(filter(None, [where, _why(row, now)]))
        job = [row.job] if jobs else []
        made.add_row(
            _name(row, count),
            _state(row),
            *(job + ([str(row.gpus or "")] if gpus else [])),
            _left(row),
            "\n".join(filter(None, [why, said])),
        )
    return made


def _print_end(view: View, workspace: Workspace) -> None:
    """How the last run ended, with what its failed jobs said."""
    if view.alive or view.course is None:
        return
    for failure in reasons(view, workspace.work):
        output.console.print()
        output.console.print("\n".join([failure.text, *tail(failure, LINES_OF_LOG)]), markup=False, soft_wrap=True)
    if view.course.said:
        output.console.print(f"\n{view.course.said}", markup=False)


def _value(view: View, workspace: Workspace) -> dict[str, Any]:
    course, queue = view.course, view.queue
    return {
        "time": view.now,
        "alive": view.alive,
        "there": view.there,
        "made": view.made,
        "run": None
        if course is None
        else {
            name: getattr(course, name)
            for name in ("run", "pid", "host", "begun", "ended", "executor", "targets", "said")
        }
        | {"failures": [asdict(failure) for failure in reasons(view, workspace.work)]},
        "slurm": None if queue is None else {"asked": queue.asked, "trouble": queue.trouble},
        "rows": [asdict(row) for row in view.rows],
    }
