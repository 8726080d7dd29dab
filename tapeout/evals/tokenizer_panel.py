"""Effect of the extended tokenizer on held-out text, and nearest neighbours of new pieces in the trained embedding."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tapeout.data.io.recognition import is_rtl
from tapeout.encoder.interface import Encoder
from tapeout.evals.rows import in_sample_order

EXAMPLE_LINES = 24
"""Lines of the file that is segmented by both tokenizers."""
PLACED, NEIGHBOURS = 12, 4
"""Most used new pieces of which neighbours are listed, and how many."""
BLOCK_ROWS = 8192
"""Rows of the embedding that are compared at once."""

Rows = Sequence[dict[str, Any]]
"""Documents of a corpus."""


def tokenizer_panel(
    base: Encoder, extended: Encoder, corpora: Mapping[str, Rows], embedding: Tensor, threads: int
) -> dict[str, Any]:
    """Return the figures of the panel.

    Args:
        base: the base tokenizer.
        extended: the extended one, whose first pieces are those of the base.
        corpora: held-out documents by corpus, with ``digest``, ``source``, ``path`` and ``text``.
        embedding: input rows [v, d] of the trained model.
        threads: threads for encoding; the result does not depend on them.
    """
    documents, uses = {}, {}
    for corpus, rows in corpora.items():
        texts = [row["text"] for row in rows]
        before, after = (encoder.encode_batch(texts, threads) for encoder in (base, extended))
        uses[corpus] = Counter(index for ids in after for index in ids if index >= base.size)
        documents[corpus] = [
            {
                "digest": row["digest"],
                "source": row["source"],
                "bytes": len(row["text"].encode()),
                "lines": row["text"].count("\n") if is_rtl(row["path"]) else 0,
                "before": len(old),
                "after": len(new),
            }
            for row, old, new in zip(rows, before, after, strict=True)
        ]
    new_ids = range(base.size, extended.size)
    most_used = sorted(new_ids, key=lambda index: (-sum(found[index] for found in uses.values()), index))
    return {
        "documents": documents,
        "pieces": [
            {"id": index, "piece": text_of(extended, index), **{corpus: uses[corpus][index] for corpus in uses}}
            for index in most_used
        ],
        "neighbours": [
            {
                "piece": text_of(extended, index),
                "nearest": [
                    {"piece": text_of(extended, other), "cosine": cosine}
                    for other, cosine in nearest(embedding[: extended.size], index)
                ],
            }
            for index in most_used[:PLACED]
        ],
        "example": example(base, extended, corpora["domain"]),
    }


def text_of(encoder: Encoder, index: int) -> str:
    """Return the text of a piece; a part of a character becomes a replacement character."""
    return encoder.id_to_bytes(index).decode(errors="replace")


def nearest(rows: Tensor, index: int) -> list[tuple[int, float]]:
    """Return the ids with the highest cosine to a row, and the cosine in four digits; those with equal digits by id."""
    own = torch.nn.functional.normalize(rows[index].double(), dim=0)
    blocks = (rows[start : start + BLOCK_ROWS].double() for start in range(0, len(rows), BLOCK_ROWS))
    cosines = torch.cat([torch.nn.functional.normalize(block, dim=1) @ own for block in blocks])
    cosines[index] = -2
    digits, ids = torch.sort(torch.round(cosines, decimals=4), descending=True, stable=True)
    return list(zip(ids[:NEIGHBOURS].tolist(), digits[:NEIGHBOURS].tolist(), strict=True))


def example(base: Encoder, extended: Encoder, rows: Rows) -> dict[str, Any] | None:
    """Return the beginning of a module of held-out RTL, cut into tokens by both tokenizers.

    The file is the first in the order of samples that has a module of at least ``EXAMPLE_LINES`` lines in ASCII, in
    which every token has a text; None if there is none.
    """
    for row in in_sample_order(row for row in rows if is_rtl(row["path"])):
        lines = row["text"].splitlines(keepends=True)
        start = next((number for number, line in enumerate(lines) if line.startswith("module ")), None)
        text = "" if start is None else "".join(lines[start : start + EXAMPLE_LINES])
        if text.isascii() and text.count("\n") >= EXAMPLE_LINES:
            return {
                "source": row["source"],
                "path": row["path"],
                "before": segments(base, text),
                "after": segments(extended, text),
            }
    return None


def segments(encoder: Encoder, text: str) -> list[str]:
    """Return the texts of the tokens of a text, in order; a token without a text of its own has none."""
    return [text[start:end] for _, start, end in encoder.encode_spans(text)]
