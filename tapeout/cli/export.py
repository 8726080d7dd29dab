"""``tapeout export``: a report with everything needed to check and rebuild it on another machine."""

from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, ConfigFiles, InvalidUse, artifact_names, caller_path, refuse, run_names
from tapeout.cli.project import Project, load
from tapeout.provenance.document import Document, Format

if TYPE_CHECKING:
    from tapeout.provenance.export import ExportOptions


def export(
    context: typer.Context,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", parser=caller_path, help="A new folder, or a new archive NAME.tar.")
    ],
    formats: Annotated[list[Format] | None, typer.Option("--format", help="Additional format; repeatable.")] = None,
    artifact: Annotated[
        str | None,
        typer.Option(help="Default: the report that the default target builds.", autocompletion=artifact_names),
    ] = None,
    run: Annotated[str | None, typer.Option(help="A named run; default: results/.", autocompletion=run_names)] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=caller_path, help="Sign with this ed25519 key (PEM).")
    ] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Leave the statements unsigned.")] = False,
    with_artifacts: Annotated[
        bool, typer.Option("--with-artifacts", help="Include the files of all artifacts.")
    ] = False,
    also: Annotated[list[str] | None, typer.Option(help="A file of the project to include; repeatable.")] = None,
    date: Annotated[str | None, typer.Option(help="Publication date of an RO-Crate, YYYY-MM-DD.")] = None,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Pack a report with everything that it was built from.

    Check it and build it again elsewhere with tapeout reproduce.

    Exit code 0.
    """
    # here, because cryptography and Snakemake are slow to import
    from tapeout.graph.store.keys import KEY_COMMANDS, read_private_key
    from tapeout.provenance.export import ExportOptions
    from tapeout.provenance.export import export as write

    wanted = frozenset(formats or ())
    if Format.SLSA not in wanted:
        refuse(context, ["key", "unsigned"], "without --format slsa, whose statements are signed", "Add --format slsa.")
    elif bool(key) == unsigned:
        raise InvalidUse(
            "--format slsa needs either a key or --unsigned.",
            f"Add --key FILE or --unsigned. Create a key with: {KEY_COMMANDS}",
        )
    if Format.ROCRATE not in wanted:
        refuse(context, ["date"], "without --format rocrate", "Add --format rocrate, or leave it out.")
    elif not _is_date(date):
        raise InvalidUse("--format rocrate needs a publication date.", "Add --date YYYY-MM-DD.")
    signer = read_private_key(key) if key else None
    project = load(configfile, run=run)
    artifact = project.resolve(artifact).artifact if artifact else _report(project)
    options = ExportOptions(artifact, run, wanted, signer, with_artifacts, tuple(also or ()), date or "")
    value = _value(write(project.layer, options, out), options, out)
    accept = "--public-key public.pem" if signer else "--unsigned"
    note = f"SHA256SUMS lists its files. To rebuild it on any machine:\n  tapeout reproduce {out} {accept}"
    table = output.table(["export", out.name], _rows(value, with_artifacts))
    output.show(value, as_json, table, note, configuration=project.configuration)


def _report(project: Project) -> str:
    """Return the artifact of the default target that is built from all others.

    Raises:
        InvalidUse: there is none.
    """
    targets = project.targets
    whole = [target for target in targets if set(targets) <= project.layer.recipes([target]).keys()]
    if len(whole) != 1:
        cause = "No artifact of the default target is built from all the others."
        raise InvalidUse(cause, f"Name one with --artifact: {', '.join(targets)}.")
    return whole[0]


def _is_date(text: str | None) -> bool:
    try:
        return Date.fromisoformat(text or "").isoformat() == text
    except ValueError:
        return False


def _value(document: Document, options: "ExportOptions", out: Path) -> dict[str, Any]:
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    return {
        "export": out.name,
        "target": document.target,
        "digest": document.manifests[document.target].digest(),
        "artifacts": len(document.artifacts),
        "carried": document.carried,
        "sources": [{"artifact": s.artifact, "origin": s.origin, "licence": s.licence} for s in document.sources],
        "environments": [locked.name for locked in document.environments],
        "code_files": len(document.code),
        "formats": sorted({Format.JSON, *options.formats}),
        "signed_by": options.signer.public_key.keyid if options.signer else None,
        "size": sum(path.stat().st_size for path in files),
    }


def _rows(value: dict[str, Any], with_artifacts: bool) -> list[list[str]]:
    return [
        ["report", value["target"]],
        ["built by", f"{value['artifacts']} actions from {output.count(len(value['sources']), 'source')}"],
        ["environments", ", ".join(value["environments"]) or "none"],
        ["code", output.count(value["code_files"], "file")],
        ["includes", "the files of " + ("every artifact" if with_artifacts else f"{value['target']} only")],
        ["formats", ", ".join(value["formats"])],
        ["signed by", f"key {value['signed_by'][:16]}" if value["signed_by"] else "not signed"],
        ["size", output.format_size(value["size"])],
    ]
