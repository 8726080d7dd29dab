"""Whose work is in an exported model."""

from tapeout.config.export import Attribution, ExportJob


def notice(job: ExportJob) -> str:
    """The text of the file NOTICE: origin and licence of the base tokenizer and of every source that was trained on."""
    lines = ["The vocabulary of this model extends that of", *_entry("", job.tokenizer), ""]
    lines.append("The model was trained on text from")
    for name, attribution in sorted(job.trained_on.items()):
        lines += _entry(f"{name}: ", attribution)
    return "\n".join(lines) + "\n"


def _entry(name: str, attribution: Attribution) -> list[str]:
    return [f"- {name}{attribution.origin}", f"  licence: {attribution.licence}"]
