"""An imported source as token ids with loss masks: every side, and an account of what does not fit."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapeout.config.instructions import SPLITS, EncodeJob
from tapeout.data.encode.chat import ALIGNER, EXTRA_ID, ChatTemplate, Render
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.data.encode.row_encoder import Unfit, encode_conversation, encode_prompted
from tapeout.data.io.jsonl import read_jsonl, write_json, write_jsonl
from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError

MARKS = {"aligner": ALIGNER, "extra_id": EXTRA_ID}
SHOWN = 5
AGAIN, SAME = "the same as another row once made shorter", "the same token ids as another row"


class NothingFits(TapeoutError):
    """No row of a side can be trained on."""

    def __init__(self, side: str, dropped: Mapping[str, int]) -> None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        super().__init__(
            f"No row of the {side} side can be trained on (left out: {reasons}).",
            "Raise sft.seq_length, or choose other instructions.prompt.tokens.",
        )


@dataclass
class Side:
    """Account of one side.

    Attributes:
        counts: rows, their tokens, those with a loss, and rows that were made shorter.
        dropped: rows that were left out, by reason.
        first: digests of the first of these.
    """

    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """All of it as JSON."""
        dropped = {
            reason: {"count": count, "first": self.first[reason][:SHOWN]} for reason, count in self.dropped.items()
        }
        return {**self.counts, "dropped": dropped}


class Encoding:
    """How rows of either kind become ids and masks.

    Args:
        tokenizer: the tokenizer's file.
        job: template, marks and length.
    """

    def __init__(self, tokenizer: Path, job: EncodeJob) -> None:
        self.job = job
        self.encoder = load_encoder(tokenizer)
        rendered = job.prompt.tokens == "template"
        self.tokenize = self.encoder.encode_rendered if rendered else self.encoder.encode_spans
        self.render: Render
        if rendered:
            bos = "" if self.encoder.bos is None else self.encoder.id_to_piece(self.encoder.bos)
            eos = self.encoder.id_to_piece(self.encoder.eos)
            self.chat_template = job.chat_template or ""
            self.render = ChatTemplate(self.chat_template, tuple(self.encoder.control_pieces), bos, eos).render
        else:
            marks = MARKS[job.prompt.tokens]
            self.chat_template, self.render = marks.template, marks.render

    def lines(self, path: Path, side: Side) -> Iterator[dict[str, Any]]:
        """Yield a line for each row of a file that fits; ``side`` grows."""
        seen: dict[tuple[int, ...], tuple[str, bool]] = {}
        for row in read_jsonl(path):
            try:
                if "conversations" in row:
                    (ids, mask), shorter = encode_conversation(row, self.render, self.tokenize, self.job.seq_length)
                else:
                    (ids, mask), shorter = encode_prompted(row, self.job.template, self.encoder, self.job.seq_length)
                other, cut = seen.setdefault(tuple(ids), (row["digest"], shorter))
                if other != row["digest"]:  # equal rows are here only if the split was to keep them
                    raise Unfit(AGAIN if cut or shorter else SAME)
            except Unfit as error:
                side.dropped[str(error)] += 1
                side.first.setdefault(str(error), []).append(row["digest"])
                continue
            if any(map(self.encoder.is_altered, texts_of(row))):
                side.counts["rows with U+2581, which the tokenizer takes for a blank"] += 1
            side.counts.update({"rows": 1, "tokens": len(ids), "trained": sum(mask), "made shorter": int(shorter)})
            yield {"ids": ids, "mask": mask, "digest": row["digest"], "category": row["category"]}


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """What a row says, of either kind."""
    turns = [turn["value"] for turn in row.get("conversations", ())]
    return [*turns, row.get("system", ""), row.get("input", ""), row.get("output", "")]


def encode_set(rows: Path, tokenizer: Path, job: EncodeJob, output: Path) -> None:
    """Make the folder ``output`` with a JSONL file for each side, prompt_template.json and report.json.

    Raises:
        NothingFits: a side had rows and has none left.
        UnevenTemplate: the chat template cannot be trained with.
    """
    encoding = Encoding(tokenizer, job)
    output.mkdir()
    report = {}
    for name in SPLITS:
        side = Side()
        if not write_jsonl(output / f"{name}.jsonl", encoding.lines(rows / f"{name}.jsonl", side)) and side.dropped:
            raise NothingFits(name, side.dropped)
        report[name] = side.report()
    templates = {"template": job.template, "chat": encoding.chat_template}
    (output / TEMPLATE_FILE).write_text(json.dumps(templates, sort_keys=True) + "\n")
    write_json(output / "report.json", report)
