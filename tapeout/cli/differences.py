"""Differences as a person reads them: tables and lines that fit the terminal and say what they leave out."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tapeout.cli import output
from tapeout.compare.excerpt import excerpt
from tapeout.compare.levels import Comparison, FileDifference
from tapeout.compare.pieces import PiecesDetail
from tapeout.compare.rows import RowChange, RowsDetail
from tapeout.compare.text import BytesDetail, TextDetail
from tapeout.compare.values import ValueChange, ValuesDetail
from tapeout.compare.weights import TensorChange, WeightsDetail
from tapeout.graph.plan.explain import Change

OLD, NEW, QUIET = "red", "green", "dim"
Cell = str | Text


def files(comparison: Comparison, name: str, limit: int | None) -> Iterator[Table]:
    """Everything that differs: a table of the files, then each file by its kind.

    Args:
        comparison: what was found; its lists are already cut to what is to be shown.
        name: of the artifact or archive; stands for the path of a single file.
        limit: files to show.
    """
    shown = comparison.files[:limit]
    if len(comparison.files) > 1:
        rows = [[each.path or name, each.level, plain(each.reason)] for each in shown]
        yield table(["file", "level", "what differs"], rows, more=len(comparison.files) - len(shown))
    for each in shown:
        yield from _file(each, each.path or name, limit)


def _file(each: FileDifference, path: str, limit: int | None) -> Iterator[Table]:
    title = f"{path}: {each.reason}"
    match each.detail:
        case RowsDetail() as detail:
            yield from _rows(detail, title)
        case ValuesDetail() as detail:
            yield values(detail.changes, title, detail.total)
        case PiecesDetail() as detail:
            yield from _pieces(detail, title)
        case WeightsDetail() as detail:
            yield from _weights(detail, title)
        case TextDetail() as detail:
            yield _text(detail, title)
        case Comparison() as inner:
            yield from files(inner, path, limit)
        case BytesDetail() as detail:
            sizes = f"{detail.old_size:,} and {detail.new_size:,} bytes"
            yield line(f"{title} ({sizes})")


# -- kinds -------------------------------------------------------------------------------------------------------------


def values(changes: Sequence[ValueChange], title: str, total: int) -> Table:
    """Values by name; numbers with the change."""
    rows = []
    for change in changes:
        old, new = "-" if change.state == "added" else None, "-" if change.state == "removed" else None
        cells = _pair(change.old, change.new, _half(), old, new)
        rows.append([plain(change.name), *cells, "" if change.delta is None else f"{change.delta:+.6g}"])
    return table(["value", ">old", ">new", ">change"], rows, title, total - len(changes))


def _rows(detail: RowsDetail, title: str) -> Iterator[Table]:
    rows = [row for change in detail.rows for row in _row(change)]
    total = detail.added + detail.removed + detail.changed
    if rows:
        yield table(["line", "field", "old", "new"], rows, title, total - len(detail.rows))
    else:
        yield line(title)


def _row(change: RowChange) -> Iterator[list[Cell]]:
    """Lines of the table: one for each field that changed, one for a row that is in one file alone."""
    same = change.old == change.new
    line = " → ".join(str(number) for number in (change.old, None if same else change.new) if number is not None)
    if change.state != "changed":
        text = Text(_telling(change.row, 4 * _half()), OLD if change.state == "removed" else NEW)
        yield [line, change.state, *((text, "") if change.state == "removed" else ("", text))]
    for number, field in enumerate(change.fields):
        absent = {"added": ("-", None), "removed": (None, "-")}.get(field.state, (None, None))
        yield ["" if number else line, plain(field.name), *_pair(field.old, field.new, 2 * _half(), *absent)]


def _pieces(detail: PiecesDetail, title: str) -> Iterator[Table]:
    numbers = f"{detail.old_pieces:,} and {detail.new_pieces:,} pieces"
    if detail.renumbered:
        numbers += f", {detail.renumbered:,} with another number"
    yield line(f"{title} ({numbers})")
    for name, changes in detail.changes.items():
        if changes:
            rows = [[plain(each.piece), _number(each.old), _number(each.new)] for each in changes]
            kind = "score" if name.startswith("score") else "place"
            yield table([name, f">old {kind}", f">new {kind}"], rows, "", detail.counts[name] - len(changes))
    if detail.other:
        yield values(detail.other, "other settings", detail.counts["other settings changed"])


def _weights(detail: WeightsDetail, title: str) -> Iterator[Table]:
    forms = [each for each in detail.tensors if each.state in ("added", "removed", "form")]
    changed = [each for each in detail.tensors if each.state == "changed"]
    other = [each for each in detail.tensors if each.state == "value"]
    forms_in_all = sum(detail.counts[state] for state in ("added", "removed", "form"))
    title = f"{title}; {detail.equal:,} equal bit by bit"
    if forms_in_all:
        rows = [[each.name, _form(each.old), _form(each.new)] for each in forms]
        yield table(["tensor", "old", "new"], rows, title, forms_in_all - len(forms))
        title = ""
    if detail.counts["changed"]:
        rows = [_tensor(each) for each in changed]
        columns = ["tensor", "form", ">elements differ", ">by at most", ">relative"]
        yield table(columns, rows, title, detail.counts["changed"] - len(changed))
        title = ""
    if detail.counts["value"]:
        found = [ValueChange(each.name, "changed", each.old, each.new) for each in other]
        yield values(found, title, detail.counts["value"])


def _tensor(each: TensorChange) -> list[str]:
    finite = f"{each.max_absolute:.3g}" + (f" ({each.not_finite:,} not finite)" if each.not_finite else "")
    part = f"{each.differing:,} of {each.elements:,}" if each.differing < each.elements else f"all {each.elements:,}"
    return [each.name, _form(each.new), part, finite, f"{each.relative:.3g}"]


def _form(form: dict[str, Any] | None) -> str:
    return "-" if form is None else f"{form['type']} {'×'.join(str(size) for size in form['shape']) or 'one'}"


def _text(detail: TextDetail, title: str) -> Table:
    styles = {"+": NEW, "-": OLD, "@": QUIET}
    shown = [Text(plain(line), styles.get(line[:1], "")) for line in detail.lines]
    return lines([Text(plain(title)), *shown, *left_out(detail.total - len(detail.lines), "lines"), Text()])


# -- actions -----------------------------------------------------------------------------------------------------------


def actions(changes: Sequence[Change], title: str, limit: int | None) -> Table:
    """What differs between two actions."""
    rows = []
    for change in changes[:limit]:
        absent = ("-" if value is None else None for value in (change.old, change.new))
        rows.append([change.kind, plain(change.name), *_pair(change.old, change.new, 2 * _half(), *absent)])
    return table(["what", "name", "old", "new"], rows, title, len(changes) - len(rows))


# -- cells -------------------------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = "", more: int = 0) -> Table:
    """A table under a title, whose cells are shown as they are, and a last line that says how many are left out."""
    made = output.table(columns, [])
    made.columns[0].no_wrap = False
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return lines([*([Text(plain(title))] if title else []), made, *left_out(more, "rows"), Text()])


def left_out(count: int, what: str) -> list[Text]:
    """A line that says that something is not shown."""
    return [Text(f"… {count:,} more {what}; --limit shows more, --json all", QUIET)] if count > 0 else []


def line(text: str) -> Table:
    """One sentence."""
    return lines([Text(plain(text))])


def lines(parts: Iterable[Text | Table]) -> Table:
    """Parts one below the other."""
    grid = Table.grid()
    for part in parts:
        grid.add_row(part)
    return grid


def plain(text: str) -> str:
    """Text on one line, with nothing that a terminal would obey."""
    return "".join(_visible(letter) for letter in text)


def _visible(letter: str) -> str:
    if letter.isprintable():
        return letter
    return {"\n": "↵", "\t": "→"}.get(letter) or repr(letter)[1:-1]


def _half() -> int:
    """Characters of a value, where two values stand side by side."""
    return max(16, (output.console.width - 32) // 2)


def _pair(old: Any, new: Any, width: int, no_old: str | None = None, no_new: str | None = None) -> list[Cell]:
    """Two values as cells; of texts the place where they differ."""
    if isinstance(old, str) and isinstance(new, str) and not (_digest(old) and _digest(new)):
        found = excerpt(old, new, width)
        more = Text(f" (+{found.more})", QUIET) if found.more else Text()
        return [
            Text.assemble(plain(found.before), (plain(changed), style), plain(after), more)
            for changed, style, after in ((found.old, OLD, found.after[0]), (found.new, NEW, found.after[1]))
        ]
    return [
        Text(absent if absent is not None else _short(value, width), style)
        for value, absent, style in ((old, no_old, OLD), (new, no_new, NEW))
    ]


def _short(value: Any, width: int) -> str:
    """A value in at most so many characters; digests by their first twelve."""
    if isinstance(value, str):
        text = value[:12] if _digest(value) else value
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = plain(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _telling(row: Any, width: int) -> str:
    """A row by its values, without those that nobody reads."""
    if not isinstance(row, dict):
        return _short(row, width)
    values = [_short(value, width) for value in row.values() if not (isinstance(value, str) and _digest(value))]
    return _short(" · ".join(values), width)


def _digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"
