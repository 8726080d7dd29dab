"""Licences of an exported model: those of its base model, of its vocabulary and of its training text."""

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import orjson

from tapeout.config.export import Attribution, ExportJob
from tapeout.data.io.jsonl import read_jsonl

LICENCES = ("LICENSE*", "USE_POLICY*")
"""Files of a base model that must go with every model that is made from it."""
NOTICE = "NOTICE"


def copy_licences(exported: Path, output: Path) -> None:
    """Copy NOTICE and the licence files of an exported model to another form of the same model."""
    for path in sorted(path for pattern in (NOTICE, *LICENCES) for path in exported.glob(pattern)):
        shutil.copyfile(path, output / path.name)


def stated_licences(rows: Iterable[Path], reports: Iterable[Path]) -> dict[str, set[str]]:
    """Return the licences of training text by source: those of the source, and those that rows state instead.

    Args:
        rows: training rows and documents, JSONL.
        reports: reports of the sources of a sharded corpus.
    """
    stated: defaultdict[str, set[str]] = defaultdict(set)
    for file in rows:
        for row in read_jsonl(file, ("source", "licence")):
            stated[row["source"]].add(row["licence"])
    for file in reports:
        report = orjson.loads(file.read_bytes())
        stated[report["source"]].update(report["licences"])
    return dict(stated)


def write_licences(output: Path, job: ExportJob, stated: Mapping[str, Collection[str]], base: Path | None) -> None:
    """Write NOTICE, and copy the licence files of the base model.

    Args:
        output: folder of the exported model.
        job: names the sources.
        stated: see ``stated_licences``.
        base: folder of the base model; None if it was made here.
    """
    text = notice(job.tokenizer, job.trained_on, stated, job.base)
    files = sorted(path for pattern in LICENCES for path in base.glob(pattern)) if base else []
    for path in files:
        shutil.copyfile(path, output / path.name)
    notices = sorted(base.glob("NOTICE*")) if base else []
    texts = [text, *(path.read_text(encoding="utf-8") for path in notices)]
    (output / NOTICE).write_text("\n".join(texts), encoding="utf-8")


def notice(
    tokenizer: Attribution,
    trained_on: Mapping[str, Attribution],
    stated: Mapping[str, Collection[str]],
    base: Attribution | None = None,
) -> str:
    """Return the text of NOTICE: origin and licence of the base model or vocabulary, and of the training text."""
    lines = ["This model is an adaptation of", *_attribution("", base), ""] if base else []
    lines += ["The vocabulary of this model extends that of", *_attribution("", tokenizer), ""]
    lines.append("The model was trained on text from")
    for name, attribution in sorted(trained_on.items()):
        lines += _attribution(f"{name}: ", attribution)
        if others := sorted(set(stated.get(name, ())) - {attribution.licence}):
            lines.append(f"  licences that texts in it state instead: {', '.join(others)}")
    return "\n".join(lines) + "\n"


def _attribution(name: str, attribution: Attribution) -> list[str]:
    return [f"- {name}{attribution.origin}", f"  licence: {attribution.licence}"]
