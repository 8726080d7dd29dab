"""``tapeout reproduce``: build an exported report from its sources, and compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, caller_path, refuse

if TYPE_CHECKING:
    from tapeout.provenance.reproduce import Reproduction


def reproduce(
    context: typer.Context,
    export: Annotated[
        Path, typer.Argument(metavar="EXPORT", parser=caller_path, help="Folder or archive of an export.")
    ],
    public_key: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=caller_path, help="The signer's ed25519 key (PEM).")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=caller_path, help="Empty folder for the build; default: EXPORT-reproduced."
        ),
    ] = None,
    environments: Annotated[
        Path | None,
        typer.Option(
            envvar="TAPEOUT_ENVIRONMENTS",
            metavar="FOLDER",
            parser=caller_path,
            help="Installed environments: a project's .envs.",
        ),
    ] = None,
    pip: Annotated[str, typer.Option(envvar="PIP_OPTIONS", help="More arguments for pip.")] = "",
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Run the code of an export that no trusted key has signed.")
    ] = False,
    network: Annotated[bool, typer.Option("--network", help="Let the code of the export use the network.")] = False,
    unisolated: Annotated[
        bool, typer.Option("--unisolated", help="Run it where this system cannot isolate it, with all your rights.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Verify signature and bytes; run nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build an exported report again, and compare.

    Verifies the signature and every byte, then runs the code of the export on its sources: only if a trusted key has
    signed it (--public-key, or tapeout trust), isolated from your files, variables and the network.

    Exit code 1 if an artifact differs, else 0.
    """
    # here, because cryptography and Snakemake are slow to import
    from tapeout.provenance.isolation import Isolation
    from tapeout.provenance.reproduce import inspected, summary
    from tapeout.provenance.reproduce import reproduce as build_again
    from tapeout.provenance.trusted import require_trust
    from tapeout.provenance.verdict import Verdict

    if check:
        building = ["folder", "environments", "pip", "unsigned", "network", "unisolated"]
        refuse(context, building, "with --check, which builds nothing", "Leave one out.")
    if public_key:
        refuse(context, ["unsigned"], "with --public-key, whose signature is required", "Leave one out.")
    if unisolated:
        refuse(context, ["network"], "with --unisolated, which includes the network", "Leave one out.")
    with inspected(export, public_key) as checked:
        if check:
            value = summary(checked)
            last = "No byte was altered. Nothing was run; without --check the report is built again."
            output.show(value, as_json, output.table(["export", export.name], _facts(value)), last)
            return
        require_trust(checked.verified, checked.signed_by, unsigned)
        signed = f"signed by the trusted key {checked.signed_by[0][:16]}" if checked.verified else ""
        output.errors.print(f"Running the code of the export, {signed or 'which no trusted key has signed'}.")
        where = folder or Path(f"{export.name.removesuffix('.tar')}-reproduced")
        isolation = Isolation(where.absolute(), environments, network or unisolated, not unisolated)
        reproduction = build_again(checked, isolation, pip, output.errors.print)
        output.show(reproduction.as_json(), as_json, *_parts(reproduction, where))
    raise typer.Exit(1 if reproduction.judgement.verdict is Verdict.DIFFERENT else 0)


def _facts(value: dict[str, Any]) -> list[list[str]]:
    signed = ", ".join(f"key {keyid[:16]}" for keyid in value["signed_by"]) or "not signed"
    how = "verified" if value["signature_verified"] else "not verified: no trusted key"
    return [
        ["report", value["target"]],
        ["files", f"{value['files_checked']}, all as exported"],
        ["signed by", f"{signed} ({how})" if value["signed_by"] else signed],
        ["sources", str(len(value["sources"]))],
        ["environments", ", ".join(value["environments"])],
        ["digest", value["export_digest"]],
    ]


def _parts(reproduction: "Reproduction", where: Path) -> list[Any]:
    from tapeout.provenance.page import LEVELS
    from tapeout.provenance.reproduce import PAGE

    rows = [
        [row.artifact, LEVELS[row.level][0], output.format_size(row.size), row.exported[:10], row.rebuilt[:10]]
        for row in reproduction.judgement.rows
    ]
    columns = ["artifact", "rebuilt with", ">size", "exported", "rebuilt"]
    facts = output.table(["export", ""], _facts(reproduction.as_json()))
    parts: list[Any] = [output.table(columns, rows), facts]
    first = reproduction.judgement.first
    if first is not None:
        parts.append(f"First difference: {first.artifact}")
        parts += [f"  {sentence}" for sentence in reproduction.judgement.why]
        parts += [f"  {file.path or first.artifact}: {file.reason}" for file in first.differences[:3]]
    return [*parts, f"Verdict: {reproduction.judgement.verdict}. Report page:\n  {where / PAGE}"]
