"""Counts of a split: rows, tokens, lengths, categories, licences, sources, languages."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from tapeout.config.corpus import RTL_SUFFIXES
from tapeout.inspection.control_names import ControlNames
from tapeout.inspection.rows import text_of

CODE = (*RTL_SUFFIXES, ".vhd", ".vhdl", ".c", ".cc", ".cpp", ".h", ".py", ".tcl", ".sh", ".S", ".scala")
"""Suffixes of files whose language is code."""
MAX_CHARACTERS = 1000
"""Beginning of a row, from which its language is identified."""
MIN_LETTERS = 40
"""Letters that a text needs for its language to be identified."""
MIN_PROBABILITY = 0.9
"""Probability of a language below which it counts as unknown."""


class RowTokens(NamedTuple):
    """Number of tokens of a row, and the number of these that count in the loss."""

    tokens: int
    with_loss: int


class Languages:
    """Language identification by character n-grams, with the model of py3langid for 97 languages."""

    def __init__(self) -> None:
        """Load the model."""
        self.identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def of(self, row: Mapping[str, Any]) -> str:
        """Return the ISO 639-1 code of a row's language, or the reason why there is none."""
        if str(row.get("path", "")).endswith(CODE):
            return "code"
        text = text_of(row)[:MAX_CHARACTERS]
        if sum(map(str.isalpha, text)) < MIN_LETTERS:
            return "too short"
        language, probability = self.identifier.classify(text)
        return str(language) if probability >= MIN_PROBABILITY else "uncertain"


@dataclass
class SplitCounts:
    """Counts of a split.

    Attributes:
        counts: rows, bytes of UTF-8, tokens, tokens with a loss, rows that are not encoded, rows without a loss.
        lengths: rows by tokens; the key is the upper bound, a power of two.
        categories: rows by category; empty if rows have none.
        licences: rows by licence.
        sources: rows by source.
        languages: rows by language.
        control_names: rows by the names of control tokens in their texts; a row may have several.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    control_names: Counter[str] = field(default_factory=Counter)

    def add(self, other: "SplitCounts") -> None:
        """Add the counts of other rows of the same split."""
        for name in self.__dataclass_fields__:
            getattr(self, name).update(getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        """Return all counts."""
        lengths = {str(bound): self.lengths[bound] for bound in sorted(self.lengths)}
        named = ("categories", "licences", "sources", "languages", "control_names")
        return {**self.counts, "lengths": lengths, **{name: dict(getattr(self, name)) for name in named}}


def count(
    rows: Iterable[tuple[Mapping[str, Any], RowTokens | None]], languages: Languages, names: ControlNames
) -> SplitCounts:
    """Count rows with their tokens; a row without tokens was dropped by the encoding, and is not trained on."""
    split = SplitCounts()
    for row, tokens in rows:
        split.counts.update(rows=1, bytes=len(text_of(row).encode()))
        split.licences[row["licence"]] += 1
        split.sources[row["source"]] += 1
        split.languages[languages.of(row)] += 1
        split.control_names.update(names.of(row))
        if "category" in row:
            split.categories[row["category"]] += 1
        if tokens is None:
            split.counts["not_encoded"] += 1
        else:
            split.counts.update(tokens=tokens.tokens, loss_tokens=tokens.with_loss)
            split.counts["without_loss"] += int(not tokens.with_loss)
            split.lengths[2 ** max(tokens.tokens - 1, 0).bit_length()] += 1
    return split
