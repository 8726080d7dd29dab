"""``tapeout export``: a report with all that it was made from, for an auditor on another machine."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.errors import TapeoutError
from tapeout.provenance.document import Format
from tapeout.provenance.export import ExportOptions
from tapeout.provenance.export import export as write
from tapeout.provenance.folder import SUMS
from tapeout.provenance.signing import HOW, read_private_key


class UnfitWishes(TapeoutError):
    """Options that do not go together."""


def wishes(
    artifact: str | None,
    run: str | None,
    formats: list[Format],
    key: Path | None,
    unsigned: bool,
    with_artifacts: bool,
    also: list[str],
    published: str | None,
) -> ExportOptions:
    """The options as one value, checked before anything is read; without an artifact the target is empty.

    Raises:
        UnfitWishes: statements without a word on their signature, a key without statements, a crate without a date.
        UnfitKey: the key cannot be used.
    """
    if Format.SLSA in formats and bool(key) == unsigned:
        raise UnfitWishes("Statements are either signed or not.", f"Give --key FILE or --unsigned. A key: {HOW}")
    if Format.SLSA not in formats and (key or unsigned):
        raise UnfitWishes("Only the statements of --format slsa are signed.", "Add --format slsa.")
    if Format.ROCRATE in formats and not _is_date(published):
        raise UnfitWishes("An RO-Crate has a date of publication, and no clock is read.", "Give one: --date YYYY-MM-DD")
    return ExportOptions(
        target=artifact or "",
        run=run,
        formats=frozenset(formats),
        signer=read_private_key(key) if key else None,
        with_artifacts=with_artifacts,
        also=tuple(also),
        date=published or "",
    )


def _is_date(text: str | None) -> bool:
    try:
        return date.fromisoformat(text or "").isoformat() == text
    except ValueError:
        return False


def export(project: Project, wanted: ExportOptions, where: Path, as_json: bool) -> int:
    """Write the export and say what it holds; returns 0.

    Raises:
        UnfitWishes: no artifact was named, and the project makes several.
    """
    if not wanted.target:
        targets = project.layer.targets()
        if len(targets) != 1:
            raise UnfitWishes("The project has no single report.", f"Name one of {', '.join(targets)} with --artifact.")
        wanted = replace(wanted, target=targets[0])
    document = write(project.layer, wanted, where)
    files = [where] if where.is_file() else [path for path in where.rglob("*") if path.is_file()]
    signed = wanted.signer.public_key.keyid if wanted.signer else None
    value: dict[str, Any] = {
        "export": where.name,
        "target": document.target,
        "digest": document.manifests[document.target].digest(),
        "artifacts": len(document.artifacts),
        "carried": document.carried,
        "sources": [{"artifact": s.artifact, "origin": s.origin, "licence": s.licence} for s in document.sources],
        "environments": [locked.name for locked in document.environments],
        "code_files": len(document.code),
        "formats": sorted({Format.JSON, *wanted.formats}),
        "signed_by": signed,
        "size": sum(path.stat().st_size for path in files),
    }
    rows = [
        ["report", document.target],
        ["made by", f"{len(document.actions)} actions, from {len(document.sources)} sources"],
        ["environments", ", ".join(value["environments"]) or "none"],
        ["code", f"{len(document.code)} files"],
        ["carries", "the files of " + ("every artifact" if wanted.with_artifacts else f"{document.target} alone")],
        ["formats", ", ".join(value["formats"])],
        ["signed by", f"key {signed[:16]}" if signed else "nobody"],
        ["size", output.size(value["size"])],
    ]
    last = f"{SUMS} lists its files. To repeat it anywhere:\n  tapeout reproduce {where}"
    output.show(value, as_json, output.table(["export", where.name], rows), last)
    return 0
