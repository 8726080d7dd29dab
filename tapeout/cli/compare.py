"""``tapeout compare``: differences between evaluation reports, whether they are clear, and what caused them."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, InvalidUse, addresses, caller_path
from tapeout.cli.written_files import check_folder, write_all
from tapeout.compare import result_sets
from tapeout.compare.artifacts import compare as compare_files
from tapeout.compare.result_sets import ArtifactDifference, StoresOfBoth
from tapeout.compare.rows import RowChange, RowsDetail
from tapeout.config.comparison import Bounds
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.plan.explain import Change
from tapeout.graph.workspace import Workspace

if TYPE_CHECKING:
    from tapeout.cli.report_sides import Loaded
    from tapeout.report.comparison.document import Origin, ReportComparison

PAGE, VALUE, SUMMARY = "comparison.html", "comparison.json", "comparison.md"
ORDER = ("parameter", "environment", "input")
"""Kinds of changes of a step, in the order in which they are listed; changed code has a list of its own."""
EXCERPT = 160
"""Characters of a row that the terminal shows."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def compare(
    reports: Annotated[
        list[str],
        typer.Argument(
            metavar="BEFORE AFTER...",
            help="@RUN, results, sweep/VARIANT, or the path of a report or of the results or project that it is in.",
            autocompletion=addresses,
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            parser=caller_path,
            help="Also write comparison.html, .json and .md (for a pull request) here.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare an evaluation report, or a variant of a sweep, with others.

    Shows which numbers of the shipped model moved, and whether clearly: both are scored on the same test data, and
    p-values are corrected for all numbers. Names the artifacts and rows in which the differences originate, the tasks
    that they reach, and the answers that are right in one report only.
    """
    if len(reports) < 2:
        raise InvalidUse("One report was named.", "Name two or more, such as: tapeout compare @before results")
    workspace = Workspace.here()
    if folder is not None:
        check_folder(workspace, folder, (PAGE, VALUE, SUMMARY))
    from tapeout.cli.report_sides import load  # imports numpy, which is slow for all other commands

    loaded = []
    for name in reports:
        output.errors.print(f"Reading {name} and all that it is computed from.")
        loaded.append(load(workspace, name))
    first, *others = loaded
    comparisons = [_compared(first, other) for other in others]
    from tapeout.report.comparison import document

    value = document.as_json(comparisons)
    files = {}
    if folder is not None:
        files = {
            PAGE: document.page(comparisons).encode(),
            VALUE: orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n",
            SUMMARY: document.markdown(comparisons).encode(),
        }
        write_all(folder, files)
    written = [f"Written: {', '.join(str(folder / name) for name in files)}"] if folder is not None else []
    output.show(value, as_json, *(part for one in comparisons for part in _parts(one)), *written)


def _compared(before: "Loaded", after: "Loaded") -> "ReportComparison":
    from tapeout.cli.report_sides import REPORTS
    from tapeout.report.comparison.document import ReportComparison
    from tapeout.report.comparison.scores import compare_models

    differing = result_sets.differences(StoresOfBoth((before.store, after.store)), before.upstream, after.upstream)
    origins = [one for one in differing if one.changed_itself and one.artifact not in REPORTS]
    count = output.count(len(origins), "artifact")
    output.errors.print(f"Comparing scores and {count} of {after.side.name}; this may take a minute.")
    removed, added = (
        [one.artifact for one in differing if one.state == state and one.artifact not in REPORTS]
        for state in ("removed", "added")
    )
    with tempfile.TemporaryDirectory() as scratch:
        return ReportComparison(
            before=before.side.name,
            after=after.side.name,
            confidence=after.side.settings.confidence,
            origins=[_origin(one, before, after, differing, Path(scratch)) for one in origins],
            models=compare_models(before.side, after.side),
            only_before=removed,
            only_after=added,
        )


def _origin(
    origin: ArtifactDifference,
    before: "Loaded",
    after: "Loaded",
    differing: list[ArtifactDifference],
    scratch: Path,
) -> "Origin":
    from tapeout.report.comparison.document import Origin

    old, new = (_located(loaded, origin.artifact) for loaded in (before, after))
    folder = Path(tempfile.mkdtemp(dir=scratch))
    files = compare_files(old, new, Bounds(), folder, limit=None).files
    rows = [text for file in files if isinstance(file.detail, RowsDetail) for text in _rows(file.path, file.detail)]
    changed = {one.artifact for one in differing if one.state == "changed"}
    tasks = [
        task
        for (model, task) in after.side.evaluations
        if model == after.side.shipped
        and (name := f"evaluation/{model}/{task}.json") in changed
        and origin.artifact in result_sets.upstream(after.upstream, name)
    ]
    own = sorted((one for one in origin.own_changes if one.kind != "code"), key=lambda one: ORDER.index(one.kind))
    code = [one.name for one in origin.own_changes if one.kind == "code"]
    return Origin(origin.artifact, [_change(one) for one in own], rows, tasks, code)


def _located(loaded: "Loaded", artifact: str) -> LocatedArtifact:
    return LocatedArtifact(artifact, loaded.upstream[artifact].manifest, None, loaded.store)


def _change(change: Change) -> str:
    return f"{change.kind} {change.name}: {_value(change.old)} → {_value(change.new)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = _text(value)
    return f"{text[:16]}…" if DIGEST.fullmatch(text) else text


def _rows(path: str, detail: RowsDetail) -> Iterator[str]:
    """Yield how many rows of a file differ, if several do, then each."""
    where = f"{path}, " if path else ""
    differing = detail.added + detail.removed + detail.changed
    if differing > 1:
        most = max(detail.old_rows + detail.added, detail.new_rows + detail.removed)
        yield f"{where}{differing} of {most} rows differ"
    for row in detail.rows:
        yield from _row(where, row)


def _row(file: str, row: RowChange) -> Iterator[str]:
    if row.state == "added":
        yield f"{file}row {row.new} added: {_text(row.row)}"
    elif row.state == "removed":
        yield f"{file}row {row.old} removed: {_text(row.row)}"
    else:
        for field in row.fields:
            yield f"{file}row {row.new}, {field.name}: {_text(field.old)} → {_text(field.new)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _parts(one: "ReportComparison") -> Iterator[Any]:
    from tapeout.report.comparison.document import instead_of_table, notes, one_sided, rows_of

    yield f"before: {one.before}"
    yield f"after:  {one.after}"
    yield ""
    yield one.headline
    for models in one.models:
        yield ""
        if sentence := instead_of_table(models):
            yield sentence
        elif models.lines:
            rows = [
                [row["measure"], row["before"], row["after"], row["change"], row["p"], row["verdict"]]
                for row in rows_of(models)
            ]
            yield output.table([models.title, ">before", ">after", ">change", ">p", "verdict"], rows)
        if models.answers:
            yield f"{models.became_right} answers became right, {len(models.answers) - models.became_right} wrong."
        yield from notes(models)
    for origin in one.reaching:
        yield ""
        yield f"{'The' if len(one.reaching) == 1 else 'A'} change originates in {origin.artifact}; it reaches:"
        yield f"  {', '.join(origin.tasks)}"
        yield from (f"  {_line(text)}" for text in origin.causes)
    if one.idle:
        yield ""
        yield f"Changed too, without an effect on these results: {', '.join(one.idle)}."
    if sentences := one_sided(one):
        yield ""
        yield from sentences


def _line(text: str) -> str:
    """Return the beginning of a text in one line of a terminal."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else f"{line[:EXCERPT]}…"
