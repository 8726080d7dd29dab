"""Judging an extension, and telling what it did."""

from typing import Any

from tapeout.config.tokenizer import Tokenizer
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.tokenizer.extension import Extension
from tapeout.tokenizer.gates import check_base_pieces, check_efficiency, check_round_trip, check_size, measure


def check(
    base: bytes, extension: Extension, domain: list[str], general: list[str], job: Tokenizer, threads: int
) -> dict[str, Any]:
    """Pass the extended model through all gates, on text that it was not made from.

    Args:
        base: bytes of the base model.
        extension: the extended model.
        domain: test texts of the domain.
        general: general test texts.
        job: the parameters.
        threads: threads for encoding; they change nothing in the result.

    Returns:
        the report: tokens per byte before and after, the gates' figures, every new piece.

    Raises:
        BasePieceChanged, VocabularySizeNotMultiple, RoundTripBroken, DomainTokensNotLower, GeneralTokensChanged:
            as named.
    """
    before, after = SentencePieceEncoder(base), SentencePieceEncoder(extension.model)
    check_base_pieces(before, after)
    check_size(after, job.multiple)
    round_trip = {
        "domain": check_round_trip(before, after, domain, job.samples),
        "general": check_round_trip(before, after, general, job.samples),
    }
    on_domain, on_general = measure(before, after, domain, threads), measure(before, after, general, threads)
    check_efficiency(on_domain, on_general, job.general_change)
    base_size = before.size
    return {
        "vocabulary": {"base": base_size, "extended": after.size, "multiple": job.multiple},
        "train": {"domain_tokens": extension.domain_tokens, "general_tokens": extension.general_tokens},
        "test": {"domain": on_domain.as_dict(), "general": on_general.as_dict()},
        "gates": {
            "base_pieces_unchanged": base_size,
            "round_trip": round_trip,
            "general_change": {"value": on_general.change, "limit": job.general_change},
            "domain_change": on_domain.change,
        },
        "pieces": [
            {
                "id": base_size + place,
                "piece": new.piece,
                "count": new.count,
                "general": new.general,
                "uses": extension.uses[new.piece],
            }
            for place, new in enumerate(extension.pieces)
        ],
    }
