"""Counts of one side of a set: rows, tokens, lengths, categories, licences, languages."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from tapeout.config.corpus import RTL_SUFFIXES
from tapeout.inspection.rows import text_of
from tapeout.inspection.tokens import Shape

CODE = (*RTL_SUFFIXES, ".vhd", ".vhdl", ".c", ".cc", ".cpp", ".h", ".py", ".tcl", ".sh", ".S", ".scala")
LOOKED_AT = 1000
"""Characters by which a row's language is told."""
LEAST = 40
"""Letters without which no language is told."""
SURE = 0.9
"""Probability of a language below which it is not told."""


class Languages:
    """Tells languages by letters, with py3langid's model of 97 languages."""

    def __init__(self) -> None:
        self.identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def of(self, row: Mapping[str, Any]) -> str:
        """ISO 639-1 code of a row's language, or why there is none."""
        if str(row.get("path", "")).endswith(CODE):
            return "code"
        text = text_of(row)[:LOOKED_AT]
        if sum(map(str.isalpha, text)) < LEAST:
            return "too short to tell"
        language, probability = self.identifier.classify(text)
        return str(language) if probability >= SURE else "not sure"


@dataclass
class Side:
    """What is counted.

    Attributes:
        counts: rows, bytes of UTF-8, tokens, tokens with a loss, rows that do not fit, rows without target.
        lengths: rows by tokens, in powers of two: the key is the upper border.
        categories: rows by category; empty where rows have none.
        licences: rows by licence.
        sources: rows by source.
        languages: rows by language.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Side") -> None:
        """Count other rows as well."""
        for name in self.__dataclass_fields__:
            getattr(self, name).update(getattr(other, name))

    def report(self) -> dict[str, Any]:
        """All of it as JSON."""
        lengths = {str(border): self.lengths[border] for border in sorted(self.lengths)}
        named = ("categories", "licences", "sources", "languages")
        return {**self.counts, "lengths": lengths, **{name: dict(getattr(self, name)) for name in named}}


def measure(rows: Iterable[tuple[Mapping[str, Any], Shape | None]], languages: Languages) -> Side:
    """Count rows with their shapes; a row without one is left out of the training."""
    side = Side()
    for row, shape in rows:
        side.counts.update(rows=1, bytes=len(text_of(row).encode()))
        side.licences[row["licence"]] += 1
        side.sources[row["source"]] += 1
        side.languages[languages.of(row)] += 1
        if "category" in row:
            side.categories[row["category"]] += 1
        if shape is None or not shape.fits:
            side.counts["left out"] += 1
        else:
            side.counts.update(tokens=shape.tokens, trained=shape.trained)
            side.counts["without target"] += int(not shape.trained)
            side.lengths[2 ** max(shape.tokens - 1, 0).bit_length()] += 1
    return side
