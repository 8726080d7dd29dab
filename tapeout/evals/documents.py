"""Documents of a test corpus: the sample that is scored, and the bits that a model needs for each document."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tapeout.config.task_options import ScoringOptions
from tapeout.data.io.text import beginning
from tapeout.evals.rows import in_sample_order
from tapeout.evals.task import DIGITS, Result

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel


class Options(ScoringOptions):
    """Settings of the scored part of the test text."""

    max_bytes: int = Field(
        81_920,
        ge=1,
        description="UTF-8 bytes of test text read per corpus. Whole documents (see max_document_bytes) are taken in "
        "the order of a hash of their digests until the next one would exceed the limit; the first is always taken.",
    )
    max_document_bytes: int = Field(
        3_072,
        ge=1,
        description="Maximum part of one document that is scored, from its beginning to the last line end within this "
        "limit. Many short pieces give narrower intervals than few long files for the same work.",
    )
    overlap: float = Field(
        0.25,
        ge=0.0,
        lt=1.0,
        description="Fraction of a window of the model's context that repeats the window before it, so that no token "
        "except at the beginning of a document is predicted from fewer than overlap x context tokens.",
    )


class DocumentScore(Result):
    """Bits that the model needs for one document, end token included where the document was read to its end."""

    digest: str
    source: str
    bytes: int
    tokens: int
    bits: float


class CorpusScore(Result):
    """Scores of the sampled documents of one corpus, and the number of all its test documents by source."""

    documents: list[DocumentScore]
    documents_by_source: dict[str, int]


class BitsPerByte(Result):
    """Scores of a model by corpus."""

    corpora: dict[str, CorpusScore]


@dataclass(frozen=True)
class Excerpt:
    """The scored part of a document.

    Attributes:
        text: the document or its beginning.
        digest: digest of the whole document.
        source: name of the source that the document is from.
        complete: whether ``text`` is the whole document.
    """

    text: str
    digest: str
    source: str
    complete: bool


def sample_documents(rows: Iterable[dict[str, Any]], max_bytes: int, max_document_bytes: int) -> list[Excerpt]:
    """Choose documents in sample order until the next would exceed ``max_bytes``; long ones are cut at a line end."""
    chosen: list[Excerpt] = []
    size = 0
    for row in in_sample_order(rows):
        text = beginning(row["text"], max_document_bytes)
        size += len(text.encode())
        if chosen and size > max_bytes:
            break
        chosen.append(Excerpt(text, row["digest"], row["source"], complete=text == row["text"]))
    return chosen


def score_documents(
    model: "LoadedModel", excerpts: Sequence[Excerpt], overlap: float, batch_tokens: int
) -> list[DocumentScore]:
    """Score excerpts one by one as ``[bos] + pieces + [eos]``.

    The sum of bits over the sum of UTF-8 bytes is the measure; sums over documents weigh every token alike. The end
    token has no bytes, but its bits count: a model that predicts where texts end should not pay more for it than
    another. An incomplete excerpt has no end token. The first token is given, not predicted.
    """
    from tapeout.evals.likelihood import Window, nats, split

    windows: list[Window] = []
    tokens: list[int] = []
    for index, excerpt in enumerate(excerpts):
        ids = [*model.encoder.bos_ids, *model.encoder.encode(excerpt.text)]
        if excerpt.complete:
            ids.append(model.encoder.eos)
        windows += split(index, ids, model.facts.context, overlap)
        tokens.append(len(ids) - 1)
    sums = nats(model.network, windows, len(excerpts), batch_tokens)
    return [
        DocumentScore(
            digest=excerpt.digest,
            source=excerpt.source,
            bytes=len(excerpt.text.encode()),
            tokens=tokens[index],
            bits=round(sums[index] / log(2), DIGITS),
        )
        for index, excerpt in enumerate(excerpts)
    ]
