"""The artifact ``encoded/<set>``: the rows of a set as token ids with loss masks, and counts of what does not fit."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapeout.config.instructions import SPLITS, EncodeJob
from tapeout.data.encode.chat import Unfit
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.data.encode.row_encoder import RowEncoder
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import read_jsonl, write_json, write_jsonl
from tapeout.encoder.load import load_encoder

MAX_EXAMPLES = 5
SAME_SHORTENED, SAME_IDS = "the same as another row once shortened", "the same token ids as another row"


@dataclass
class SplitReport:
    """Counts of one split.

    Attributes:
        counts: rows, their tokens, tokens with a loss, and shortened rows.
        dropped: digests of the dropped rows, by reason.
    """

    counts: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return all counts, and the first dropped rows for each reason."""
        dropped = {
            reason: {"count": len(digests), "first": digests[:MAX_EXAMPLES]} for reason, digests in self.dropped.items()
        }
        return {**self.counts, "dropped": dropped}


def encode_set(rows: Path, tokenizer: Path, job: EncodeJob, output: Path) -> None:
    """Write the new folder ``output`` with a JSONL file for each split, prompt_template.json and report.json.

    Raises:
        NotEnoughData: a split has rows, and all are dropped.
        InvalidTemplate: see ``ChatTemplate.render``.
    """
    encoder = RowEncoder(load_encoder(tokenizer), job)
    output.mkdir()
    reports = {}
    for name in SPLITS:
        report = SplitReport()
        count = write_jsonl(output / f"{name}.jsonl", encoded_lines(rows / f"{name}.jsonl", encoder, report))
        if not count and report.dropped:
            reasons = ", ".join(f"{len(digests)} {reason}" for reason, digests in sorted(report.dropped.items()))
            raise NotEnoughData(
                f"No row of the {name} split can be trained on (dropped: {reasons}).",
                "Raise sft.seq_length, or choose other instructions.prompt.tokens.",
            )
        reports[name] = report.as_json()
    templates = {"template": job.for_questions, "chat": encoder.chat_template}
    (output / TEMPLATE_FILE).write_text(json.dumps(templates, sort_keys=True) + "\n")
    write_json(output / "report.json", reports)


def encoded_lines(path: Path, encoder: RowEncoder, report: SplitReport) -> Iterator[dict[str, Any]]:
    """Yield a line for each row of a file that fits."""
    seen: dict[tuple[int, ...], tuple[str, bool]] = {}
    for row in read_jsonl(path):
        try:
            ids, mask, shortened = encoder.encode(row)
            digest, other_shortened = seen.setdefault(tuple(ids), (row["digest"], shortened))
            if digest != row["digest"]:  # equal rows are here only if the split was to keep them
                raise Unfit(SAME_SHORTENED if shortened or other_shortened else SAME_IDS)
        except Unfit as error:
            report.dropped.setdefault(str(error), []).append(row["digest"])
            continue
        if any(map(encoder.encoder.is_altered, texts_of(row))):
            report.counts["rows with a character that the tokenizer does not give back"] += 1
        report.counts.update({"rows": 1, "tokens": len(ids), "trained": sum(mask), "shortened": int(shortened)})
        yield {"ids": ids, "mask": mask, "digest": row["digest"], "category": row["category"]}


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """Return the texts of a row, of either kind."""
    turns = [turn["value"] for turn in row.get("conversations", ())]
    return [*turns, row.get("system", ""), row.get("input", ""), row.get("output", "")]
