"""Bits per byte: how well a model predicts text, in a unit that does not depend on its tokenizer."""

from collections.abc import Sequence
from math import log
from typing import TYPE_CHECKING

from tapeout.encoder.interface import Encoder
from tapeout.evals.result import DIGITS, DocumentScore
from tapeout.evals.rows import Excerpt
from tapeout.evals.windows import Window, nats, split

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


def score_documents(
    model: "LlamaForCausalLM",
    tokenizer: Encoder,
    excerpts: Sequence[Excerpt],
    context: int,
    overlap: float,
    batch_tokens: int,
) -> list[DocumentScore]:
    """Score excerpts one by one as ``[bos] + pieces + [eos]``.

    The sum of a document's bits over the sum of its UTF-8 bytes is its bits per byte; sums over documents weigh each
    token alike. The end mark has no bytes, but a model that knows where texts end should not pay for it less than
    another, so its bits count; an excerpt that is not ``whole`` has none. The first mark is given, not
    predicted.
    """
    windows: list[Window] = []
    tokens: list[int] = []
    for index, excerpt in enumerate(excerpts):
        ids = [*tokenizer.bos_ids, *tokenizer.encode(excerpt.text)]
        if excerpt.whole:
            ids.append(tokenizer.eos)
        windows += split(index, ids, context, overlap)
        tokens.append(len(ids) - 1)
    sums = nats(model, windows, len(excerpts), batch_tokens)
    return [
        DocumentScore(
            digest=excerpt.digest,
            bytes=len(excerpt.text.encode()),
            tokens=tokens[index],
            bits=round(sums[index] / log(2), DIGITS),
        )
        for index, excerpt in enumerate(excerpts)
    ]
