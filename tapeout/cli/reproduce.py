"""``tapeout reproduce``: build an exported report again from its sources, and say whether it is the same."""

from pathlib import Path
from typing import Any

from tapeout.cli import output
from tapeout.provenance.page import LEVELS
from tapeout.provenance.reproduce import PAGE, Reproduction, inspected, summary
from tapeout.provenance.reproduce import reproduce as rebuild
from tapeout.provenance.signing import read_public_key
from tapeout.provenance.verdict import Verdict


def reproduce(
    export: Path,
    public_key: Path | None,
    folder: Path | None,
    environments: Path | None,
    pip_options: str,
    check: bool,
    as_json: bool,
) -> int:
    """Check an export and, unless ``check``, build it again; returns 1 if something differs, else 0."""
    key = read_public_key(public_key) if public_key else None
    with inspected(export, key) as found:
        if check:
            value = summary(found)
            last = "Every byte is as it was exported. Nothing was run; without --check the report is built again."
            output.show(value, as_json, output.table(["export", export.name], _facts(value)), last)
            return 0
        where = folder or Path(f"{export.name.removesuffix('.tar')}-reproduced")
        made = rebuild(found, where, environments, pip_options, output.errors.print)
        output.show(made.as_json(), as_json, *_shown(made, where))
    return 1 if made.judgement.verdict is Verdict.DIFFERENT else 0


def _facts(value: dict[str, Any]) -> list[list[str]]:
    signed = ", ".join(f"key {keyid[:16]}" for keyid in value["signed_by"]) or "nobody"
    how = "checked" if value["signature_verified"] else "not checked: no --public-key"
    return [
        ["report", value["target"]],
        ["files", f"{value['files_checked']}, all as exported"],
        ["signed by", f"{signed} ({how})" if value["signed_by"] else signed],
        ["sources", str(len(value["sources"]))],
        ["environments", ", ".join(value["environments"])],
        ["digest", value["export_digest"]],
    ]


def _shown(made: Reproduction, where: Path) -> list[Any]:
    rows = [
        [row.artifact, LEVELS[row.level][0], output.size(row.size), row.exported[:10], row.rebuilt[:10]]
        for row in made.judgement.rows
    ]
    columns = ["artifact", "rebuilt with", ">size", "exported", "rebuilt"]
    parts: list[Any] = [output.table(columns, rows), output.table(["export", ""], _facts(made.as_json()))]
    first = made.judgement.first
    if first is not None:
        parts.append(f"First difference: {first.artifact}")
        parts += [f"  {sentence}" for sentence in made.judgement.why]
        parts += [f"  {each.path or first.artifact}: {each.reason}" for each in first.differences[:3]]
    return [*parts, f"Verdict: {made.judgement.verdict}. The page:\n  {where / PAGE}"]
