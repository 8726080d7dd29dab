"""Licences of an exported model: those of its base model, of its vocabulary and of its training text."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from tapeout.config.export import Attribution, ExportJob

LICENCES = ("LICENSE*", "USE_POLICY*")
"""Files of a base model that must go with every model that is made from it."""


def write_licences(output: Path, job: ExportJob, base: Path | None) -> None:
    """Write NOTICE, and copy the licence files of the base model.

    Args:
        output: folder of the exported model.
        job: names the sources.
        base: folder of the base model; None if it was made here.
    """
    text = notice(job.tokenizer, job.trained_on, job.base)
    files = sorted(path for pattern in LICENCES for path in base.glob(pattern)) if base else []
    for path in files:
        shutil.copyfile(path, output / path.name)
    notices = sorted(base.glob("NOTICE*")) if base else []
    texts = [text, *(path.read_text(encoding="utf-8") for path in notices)]
    (output / "NOTICE").write_text("\n".join(texts), encoding="utf-8")


def notice(tokenizer: Attribution, trained_on: Mapping[str, Attribution], base: Attribution | None = None) -> str:
    """Return the text of NOTICE: origin and licence of the base model or vocabulary, and of the training text."""
    lines = ["This model is an adaptation of", *_attribution("", base), ""] if base else []
    lines += ["The vocabulary of this model extends that of", *_attribution("", tokenizer), ""]
    lines.append("The model was trained on text from")
    for name, attribution in sorted(trained_on.items()):
        lines += _attribution(f"{name}: ", attribution)
    return "\n".join(lines) + "\n"


def _attribution(name: str, attribution: Attribution) -> list[str]:
    return [f"- {name}{attribution.origin}", f"  licence: {attribution.licence}"]
