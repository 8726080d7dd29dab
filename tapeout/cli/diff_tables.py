"""Tables of differences that fit the terminal and state how much they leave out."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tapeout.cli import output
from tapeout.compare.artifacts import Comparison, FileDifference
from tapeout.compare.rows import RowChange, RowsDetail
from tapeout.compare.text import BytesDetail, TextDetail, excerpt
from tapeout.compare.tokenizers import PiecesDetail
from tapeout.compare.values import ValueChange, ValuesDetail
from tapeout.compare.weights import TensorChange, WeightsDetail
from tapeout.graph.plan.explain import Change
from tapeout.visible import visible

OLD, NEW, QUIET = "red", "green", "dim"
Cell = str | Text


def files(comparison: Comparison, name: str, limit: int | None) -> Iterator[Table]:
    """Yield a table of the files that differ, then the details of every file.

    Args:
        comparison: its lists are already cut to what is to be shown.
        name: name of the artifact or archive; replaces the empty path of a single file.
        limit: files to show.
    """
    shown = comparison.files[:limit]
    if len(comparison.files) > 1:
        rows = [[file.path or name, file.level, plain(file.reason)] for file in shown]
        yield table(["file", "level", "difference"], rows, more=len(comparison.files) - len(shown))
    for file in shown:
        yield from _file(file, file.path or name, limit)


def _file(file: FileDifference, path: str, limit: int | None) -> Iterator[Table]:
    title = f"{path}: {file.reason}"
    match file.detail:
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
    """Return a table of values by name, with the change of every number."""
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
    """Yield one table row per changed field, or one for a row that only one file has."""
    same = change.old == change.new
    line = " → ".join(str(number) for number in (change.old, None if same else change.new) if number is not None)
    if change.state != "changed":
        text = Text(_brief(change.row, 4 * _half()), OLD if change.state == "removed" else NEW)
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
            rows = [[plain(change.piece), _number(change.old), _number(change.new)] for change in changes]
            kind = "score" if name.startswith("score") else "index"
            yield table([name, f">old {kind}", f">new {kind}"], rows, "", detail.counts[name] - len(changes))
    if detail.other:
        yield values(detail.other, "other settings", detail.counts["other settings changed"])


def _weights(detail: WeightsDetail, title: str) -> Iterator[Table]:
    forms = [tensor for tensor in detail.tensors if tensor.state in ("added", "removed", "form")]
    changed = [tensor for tensor in detail.tensors if tensor.state == "changed"]
    other = [tensor for tensor in detail.tensors if tensor.state == "value"]
    total_forms = sum(detail.counts[state] for state in ("added", "removed", "form"))
    title = f"{title}; {detail.equal:,} equal bit by bit"
    if total_forms:
        rows = [[tensor.name, _form(tensor.old), _form(tensor.new)] for tensor in forms]
        yield table(["tensor", "old", "new"], rows, title, total_forms - len(forms))
        title = ""
    if detail.counts["changed"]:
        rows = [_tensor(tensor) for tensor in changed]
        columns = ["tensor", "form", ">elements differ", ">max difference", ">relative"]
        yield table(columns, rows, title, detail.counts["changed"] - len(changed))
        title = ""
    if detail.counts["value"]:
        changes = [ValueChange(value.name, "changed", value.old, value.new) for value in other]
        yield values(changes, title, detail.counts["value"])


def _tensor(change: TensorChange) -> list[str]:
    largest = f"{change.max_absolute:.3g}" + (f" ({change.not_finite:,} not finite)" if change.not_finite else "")
    all_differ = change.differing == change.elements
    elements = f"all {change.elements:,}" if all_differ else f"{change.differing:,} of {change.elements:,}"
    return [change.name, _form(change.new), elements, largest, f"{change.relative:.3g}"]


def _form(form: Any) -> str:
    """Return type and shape of a tensor; any other value of a checkpoint as it is."""
    if isinstance(form, dict) and "shape" in form:
        return f"{form['type']} {'×'.join(str(size) for size in form['shape']) or 'scalar'}"
    return "-" if form is None else plain(str(form))


def _text(detail: TextDetail, title: str) -> Table:
    styles = {"+": NEW, "-": OLD, "@": QUIET}
    shown = [Text(plain(line), styles.get(line[:1], "")) for line in detail.lines]
    return lines([Text(plain(title)), *shown, *left_out(detail.total - len(detail.lines), "lines"), Text()])


# -- actions -----------------------------------------------------------------------------------------------------------


def actions(changes: Sequence[Change], title: str, limit: int | None) -> Table:
    """Return a table of the changes between two actions."""
    rows = []
    for change in changes[:limit]:
        absent = ("-" if value is None else None for value in (change.old, change.new))
        rows.append([change.kind, plain(change.name), *_pair(change.old, change.new, 2 * _half(), *absent)])
    return table(["kind", "name", "old", "new"], rows, title, len(changes) - len(rows))


# -- cells -------------------------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = "", more: int = 0) -> Table:
    """Return a table under a title, with a last line that counts ``more`` rows that are left out.

    Cells are literal text: nothing in them is read as rich markup.
    """
    body = output.table(columns, [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows])
    return lines([*([Text(plain(title))] if title else []), body, *left_out(more, "rows"), Text()])


def left_out(count: int, noun: str) -> list[Text]:
    """Return a line that counts what is not shown, or nothing if everything is."""
    return [Text(f"… {count:,} more {noun}; --limit shows more, --json all", QUIET)] if count > 0 else []


def line(text: str) -> Table:
    """Return one line of text as a table."""
    return lines([Text(plain(text))])


def lines(parts: Iterable[Text | Table]) -> Table:
    """Stack texts and tables in one table."""
    grid = Table.grid()
    for part in parts:
        grid.add_row(part)
    return grid


def plain(text: str) -> str:
    """Return the text on one line, with hidden characters replaced by visible ones."""
    return visible(text).translate({10: "↵", 9: "→"})


def _half() -> int:
    """Return the width of one of two values side by side, in characters."""
    return max(16, (output.console.width - 32) // 2)


def _pair(old: Any, new: Any, width: int, no_old: str | None = None, no_new: str | None = None) -> list[Cell]:
    """Return two values as cells; of two texts the excerpt in which they differ."""
    if isinstance(old, str) and isinstance(new, str) and not (_digest(old) and _digest(new)):
        part = excerpt(old, new, width)
        more = Text(f" (+{part.more})", QUIET) if part.more else Text()
        return [
            Text.assemble(plain(part.before), (plain(changed), style), plain(after), more)
            for changed, style, after in ((part.old, OLD, part.after[0]), (part.new, NEW, part.after[1]))
        ]
    return [
        Text(absent if absent is not None else _short(value, width), style)
        for value, absent, style in ((old, no_old, OLD), (new, no_new, NEW))
    ]


def _short(value: Any, width: int) -> str:
    """Return a value in at most ``width`` characters, and a digest in twelve."""
    if isinstance(value, str):
        text = value[:12] if _digest(value) else value
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = plain(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _brief(row: Any, width: int) -> str:
    """Return the values of a row without digests."""
    if not isinstance(row, dict):
        return _short(row, width)
    values = [_short(value, width) for value in row.values() if not (isinstance(value, str) and _digest(value))]
    return _short(" · ".join(values), width)


def _digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"
