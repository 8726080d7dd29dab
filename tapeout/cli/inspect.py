"""``tapeout inspect``: content of a model that somebody else made, and why it is or is not accepted."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, caller_path
from tapeout.graph.files import report_disk_errors
from tapeout.guard.inspection import Findings, inspect_model

SHOWN = 40
"""Members and problems shown without --json."""


def inspect(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            parser=caller_path,
            help="Hugging Face folder, NeMo-2 folder, .nemo archive, or .gguf, safetensors or .pt file.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what a foreign model contains and whether it is accepted.

    Runs nothing of it: no pickle, no configuration and no code of the model. An archive is unpacked into a temporary
    folder (TMPDIR), after all its members have been checked.

    Exit code 0 if it is accepted, else 1.
    """
    with report_disk_errors(), tempfile.TemporaryDirectory(prefix="tapeout-inspect-") as scratch:
        findings = inspect_model(model, Path(scratch))
    output.show(_value(findings), as_json, *([] if as_json else _parts(model, findings)))
    raise typer.Exit(1 if findings.problems else 0)


def _value(findings: Findings) -> dict[str, Any]:
    return {
        "accepted": not findings.problems,
        "kind": findings.kind,
        "members": findings.members,
        "architecture": findings.architecture,
        "types": findings.totals(),
        "tensors": {
            name: {"type": tensor.dtype, "shape": tensor.shape} for name, tensor in sorted(findings.tensors.items())
        },
        "tokenizer": findings.tokenizer,
        "references": sorted(".".join(reference) for reference in findings.references),
        "problems": findings.problems,
    }


def _parts(model: Path, findings: Findings) -> list[Any]:
    total = sum(findings.members.values())
    members = output.count(len(findings.members), "file")
    parts: list[Any] = [f"{model}: {findings.kind}, {members}, {output.format_size(total)}.", ""]
    rows = [[name, output.format_size(size)] for name, size in sorted(findings.members.items())]
    parts += [output.table(["file", ">size"], rows[:SHOWN])]
    parts += [f"and {len(rows) - SHOWN:,} more: --json"] if len(rows) > SHOWN else []
    if findings.architecture:
        texts = [[name, _text(value)] for name, value in findings.architecture.items()]
        parts += ["", output.table(["architecture", "value"], texts)]
    if findings.tensors:
        totals = [
            [dtype, f"{row['tensors']:,}", f"{row['elements']:,}", output.format_size(row["bytes"])]
            for dtype, row in findings.totals().items()
        ]
        parts += ["", output.table(["type", ">tensors", ">numbers", ">size"], totals)]
    if findings.tokenizer:
        parts += ["", output.table(["tokenizer", "kind"], [list(pair) for pair in findings.tokenizer.items()])]
    if findings.references:
        names = [[".".join(reference)] for reference in sorted(findings.references)]
        parts += ["", output.table(["context names"], names)]
    if not findings.problems:
        return [*parts, "", "Accepted: every file was read by the guard, and none can run code."]
    problems = [[name or "the model", cause] for name, cause in sorted(findings.problems.items())]
    parts += ["", output.table(["refused", "reason"], problems[:SHOWN])]
    return [*parts, "", f"Not accepted, for {output.count(len(problems), 'reason')}."]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
