"""Checks of an extended vocabulary before anything is trained with it, and the report about it."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tapeout.config.tokenizer import Tokenizer
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary
from tapeout.encoder.interface import Encoder
from tapeout.encoder.library import library_ids
from tapeout.tokenizer.extension import Extension, check_not_lost


@dataclass(frozen=True)
class Efficiency:
    """Tokens of a test corpus with the base and the extended model, special tokens not counted."""

    documents: int
    bytes: int
    tokens_before: int
    tokens_after: int

    @property
    def change(self) -> float:
        """Relative change of the number of tokens."""
        return self.tokens_after / self.tokens_before - 1

    def as_dict(self) -> dict[str, float]:
        """Return all figures, including tokens per UTF-8 byte."""
        return asdict(self) | {
            "tokens_per_byte_before": self.tokens_before / self.bytes,
            "tokens_per_byte_after": self.tokens_after / self.bytes,
            "change": self.change,
        }


def check(
    base: Vocabulary,
    extension: Extension,
    domain: list[str],
    general: list[str],
    job: Tokenizer,
    threads: int,
    library: str | None = None,
) -> dict[str, Any]:
    """Check the extended model on text that it was not made from.

    Args:
        base: the base vocabulary.
        extension: the extended vocabulary.
        domain: test texts of the domain.
        general: general test texts.
        job: the parameters.
        threads: threads for encoding; the result does not depend on them.
        library: content of the tokenizer.json that is made from the extended vocabulary, if one is.

    Returns:
        the report: tokens per byte before and after, the figures of the checks, and every new piece.

    Raises:
        InvalidVocabulary: the model fails a check.
    """
    before, after = base.encoder, extension.vocabulary.encoder
    check_base_pieces(base, extension.vocabulary)
    check_size(after, job)
    for name, texts in (("domain", domain), ("general", general)):
        if not any(texts):
            raise InvalidVocabulary(
                f"There is no {name} test text, on which new pieces are measured.",
                f"Hold out more of corpus.{name}, or set tokenizer.new_pieces: 0.",
            )
    check_reserved_names(base, after)
    round_trip = {
        "domain": check_round_trip(before, after, domain, job.samples),
        "general": check_round_trip(before, after, general, job.samples),
    }
    on_domain, on_general = measure(before, after, domain, threads), measure(before, after, general, threads)
    if extension.pieces:
        check_efficiency(on_domain, on_general, job.max_general_change)
    return {
        "vocabulary": {"base": before.size, "extended": after.size, "multiple": job.multiple},
        "train": {"domain_tokens": extension.domain_tokens, "general_tokens": extension.general_tokens},
        "test": {"domain": on_domain.as_dict(), "general": on_general.as_dict()},
        "gates": {
            "base_pieces_unchanged": before.size,
            "round_trip": round_trip,
            "same_ids": None if library is None else check_library(after, library, [*domain, *general], threads),
            "general_change": {"value": on_general.change, "limit": job.max_general_change},
            "domain_change": on_domain.change,
        },
        "pieces": [
            {key: row[key] for key in ("id", "piece", "count", "general", "uses")}
            for row in added_rows(base, extension)
        ],
    }


def measure(base: Encoder, extended: Encoder, texts: list[str], threads: int) -> Efficiency:
    """Count the tokens of ``texts`` before and after the extension."""
    before, after = count_tokens(base, texts, threads), count_tokens(extended, texts, threads)
    return Efficiency(len(texts), sum(len(text.encode()) for text in texts), before, after)


def count_tokens(model: Encoder, texts: list[str], threads: int) -> int:
    """Return the number of tokens of all texts together.

    Raises:
        InvalidVocabulary: a text that is not empty encodes to nothing.
    """
    encoded = model.encode_batch(texts, threads)
    check_not_lost(texts, encoded)
    return sum(map(len, encoded))


def check_base_pieces(base: Vocabulary, extended: Vocabulary) -> None:
    """Raise ``InvalidVocabulary`` unless the extended model begins with exactly the base model's pieces."""
    for index in range(base.encoder.size):
        before, after = base.describe(index), extended.describe(index) if index < extended.encoder.size else None
        if before != after:
            raise InvalidVocabulary(
                f"Piece {index} is {before} in the base model and {after} in the extended one.",
                "Only append pieces: the model's trained rows are addressed by id.",
            )


def check_library(encoder: Encoder, content: str, texts: list[str], threads: int) -> int:
    """Check that the library ``tokenizers`` encodes texts as an encoder does; return the number of texts.

    The library takes the name of a control piece, such as ``<s>`` in a page of HTML, for the piece itself, and an
    encoder for text. A text is therefore compared by the parts between such names.

    Args:
        encoder: the encoder.
        content: content of the tokenizer.json.
        texts: the texts.
        threads: threads for encoding; the result does not depend on them.

    Raises:
        InvalidVocabulary: the ids of a text differ.
    """
    names = re.compile("|".join(map(re.escape, encoder.reserved_names)) or "(?!)")
    parts = [part for text in texts for part in names.split(text)]
    for text, ids, other in zip(parts, encoder.encode_batch(parts, threads), library_ids(content, parts), strict=True):
        if ids != other:
            at = next((n for n, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b), len(ids))
            raise InvalidVocabulary(
                f"tokenizer.json gives other ids from token {at} on of a text that begins with {text[:60]!r}.",
                "Report this base tokenizer: its tokenizer.json is not exact.",
            )
    return len(texts)


def added_rows(base: Vocabulary, extension: Extension) -> Iterator[dict[str, Any]]:
    """Yield the rows of vocab_added.jsonl: id, merge rank, counts, and the pieces that the base vocabulary uses.

    ``count`` and ``general`` are the occurrences when a piece was chosen, ``uses`` those in the domain training text
    with the whole extended vocabulary.
    """
    names, ranks = base.names, extension.vocabulary.ranks
    for number, new in enumerate(extension.pieces, start=len(names)):
        yield {
            "id": number,
            "piece": new.piece,
            "rank": ranks[new.merge],
            "count": new.count,
            "general": new.general,
            "uses": extension.uses[new.piece],
            "parts": [names[index] for index in base.split(new.piece)],
        }


def check_size(extended: Encoder, job: Tokenizer) -> None:
    """Raise ``InvalidVocabulary`` unless the vocabulary divides evenly, so that no padding rows are needed."""
    excess = extended.size % job.multiple
    if excess:
        more = f"Add {job.multiple - excess} to tokenizer.new_pieces" if job.selection.exact else "Relax the limits"
        raise InvalidVocabulary(
            f"The extended vocabulary has {extended.size} pieces, not a multiple of {job.multiple}.",
            f"{more}, or set tokenizer.multiple to a divisor of the size.",
        )


def check_reserved_names(base: Vocabulary, after: Encoder) -> None:
    """Check that texts with the names of reserved pieces are plain text to the extended model.

    Raises:
        InvalidVocabulary: such a text encodes to nothing or to a control or unknown piece, or decodes to another text
            than with the base model.
    """
    before = base.encoder
    forbidden = set(after.control_pieces.values()) | {after.unk}
    for text in (text for name in base.reserved_names for text in (name, f"a{name}b", f"a {name} b", name * 2)):
        ids = after.encode(text)
        if not ids or not forbidden.isdisjoint(ids) or after.decode(ids) != before.decode(before.encode(text)):
            pieces = [after.id_to_piece(index) for index in ids]
            raise InvalidVocabulary(
                f"The text {text!r} contains the name of a reserved piece and encodes to {pieces}.",
                "Use a base tokenizer and new pieces that keep reserved names out of the merges.",
            )


def check_round_trip(base: Encoder, extended: Encoder, texts: list[str], samples: int) -> dict[str, int]:
    """Check that encoded documents decode to the same text, on a sample that depends on the documents' content only.

    A text that the base model does not give back either (one with SentencePiece's word mark) says nothing about the
    extension: it is counted, not judged.

    Returns:
        numbers of documents checked and of those that the base model itself changes.

    Raises:
        InvalidVocabulary: the extended model loses what the base model keeps.
    """
    sample = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:samples]
    changed_by_base = 0
    for text in sample:
        if base.decode(base.encode(text)) != text:
            changed_by_base += 1
        elif extended.decode(extended.encode(text)) != text:
            raise InvalidVocabulary(
                f"A document of {len(text)} characters does not survive encoding and decoding; it begins with "
                f"{text[:60]!r}.",
                "Check the new pieces in the tokenizer's report; none may contain unusual white space.",
            )
    return {"documents": len(sample), "changed_by_base": changed_by_base}


def check_efficiency(domain: Efficiency, general: Efficiency, max_change: float) -> None:
    """Raise ``InvalidVocabulary`` unless domain text takes fewer tokens and general text about as many as before."""
    if domain.tokens_after >= domain.tokens_before:
        raise InvalidVocabulary(
            f"The domain test text has {domain.tokens_after} tokens after the extension and "
            f"{domain.tokens_before} before.",
            "Train the extension on text that resembles the test text more.",
        )
    if abs(general.change) > max_change:
        raise InvalidVocabulary(
            f"The token count of the general test text changes by {general.change:+.2%}, more than {max_change:.2%}.",
            "Lower tokenizer.max_general_rate, so that pieces common in general text are left out.",
        )
