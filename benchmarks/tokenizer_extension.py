"""Measure what an extended tokenizer saves on held-out cores, by number of new pieces and by method, and its speed.

Run ``python -m benchmarks.tokenizer_extension NAME=VOCABULARY...`` in the nemo environment, after the rules
``corpus/domain`` and ``corpus/general``, ten minutes. A vocabulary is a file, tokenizer.model or tokenizer.json. Pieces
are chosen on the training text of the default configuration, and every figure is about its test text: three other cores
and other pages of prose. The page has a chart beside it.
"""

import argparse
from collections.abc import Callable, Sequence
from io import BytesIO
from math import log2
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer as LibraryTokenizer

from benchmarks.stopwatch import stopwatch
from benchmarks.tables import table, write
from tapeout.config.tokenizer import Tokenizer
from tapeout.data.io.jsonl import read_texts, read_texts_by_source
from tapeout.encoder.extendable import Vocabulary
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.load_vocabulary import load_vocabulary
from tapeout.encoder.vocabulary import SentencePieceVocabulary
from tapeout.tokenizer.checks import measure
from tapeout.tokenizer.extension import extend_vocabulary

PAGE = Path(__file__).parent / "tokenizer_extension.md"
CORPUS = Path("results/corpus")
SIZES = (64, 128, 256, 512, 768, 1024)
VARIANTS: dict[str, dict[str, Any]] = {"continued_bpe": {}, "chipnemo": {"method": "chipnemo"}}
"""Parameters that differ from the default ones."""
COLORS = ("#1f77b4", "#17becf", "#d62728", "#ff7f0e", "#2ca02c", "#8c564b")

Curve = list[tuple[int, float, float]]
"""Number of rows, and the changes of the token counts of domain and general test text."""


class Texts:
    """Texts of the default configuration."""

    def __init__(self) -> None:
        """Read the corpora."""
        self.domain, self.general = (
            read_texts_by_source(CORPUS / name / "train.jsonl") for name in ("domain", "general")
        )
        self.domain_test, self.general_test = (
            read_texts(CORPUS / name / "test.jsonl") for name in ("domain", "general")
        )

    @property
    def all_domain(self) -> list[str]:
        """The training text of the domain."""
        return [text for texts in self.domain.values() for text in texts]


def curve(base: Vocabulary, texts: Texts, variant: dict[str, Any], threads: int) -> Curve:
    """Return the savings of the first new pieces of a variant: those of a smaller budget, for ``continued_bpe``."""
    job = Tokenizer.model_validate({"new_pieces": SIZES[-1], "multiple": 1} | variant)
    pieces = extend_vocabulary(base, texts.domain, texts.general, job, threads).pieces
    points: Curve = []
    for size in sorted({*(size for size in SIZES if size < len(pieces)), len(pieces)}):
        extended = base.with_merges([new.merge for new in pieces[:size]]).encoder
        domain = measure(base.encoder, extended, texts.domain_test, threads)
        general = measure(base.encoder, extended, texts.general_test, threads)
        points.append((size, domain.change, general.change))
    return points


def chart(curves: dict[str, Curve]) -> str:
    """Return an SVG: the tokens saved on held-out cores against the number of new rows, logarithmic."""
    width, height, left, top = 760, 420, 60, 20
    sizes = [size for points in curves.values() for size, _, _ in points]
    low, high = min(sizes).bit_length() - 1, (max(sizes) - 1).bit_length()
    best = max(-change for points in curves.values() for _, change, _ in points)
    limit = int(best * 100) // 5 * 5 + 5

    def x(size: float) -> float:
        return left + (log2(size) - low) / (high - low) * (width - left - 20)

    def y(saving: float) -> float:
        return top + (1 - saving * 100 / limit) * (height - top - 45)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 22 * len(curves)}" font-size="13">'
    ]
    for percent in range(0, limit + 1, 5):
        line = y(percent / 100)
        parts += [
            f'<path d="M{left} {line:.1f}H{width - 20}" stroke="#ddd"/>',
            f'<text x="{left - 8}" y="{line + 4:.1f}" text-anchor="end">{percent} %</text>',
        ]
    parts += [
        f'<text x="{x(2**power):.1f}" y="{height - 24}" text-anchor="middle">{2**power:,}</text>'
        for power in range(low, high + 1)
    ]
    parts.append(f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">new rows</text>')
    for number, (name, points) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        places = [f"{x(size):.1f},{y(-change):.1f}" for size, change, _ in points]
        parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{place.split(",")[0]}" cy="{place.split(",")[1]}" r="3" fill="{color}"/>' for place in places
        ]
        parts.append(f'<text x="{left}" y="{height + 22 * number + 14}" fill="{color}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def timed(work: Callable[[], object]) -> list[str]:
    """Return the seconds and processor seconds of some work."""
    with stopwatch() as times:
        work()
    return [f"{value:.1f}" for value in times]


def speeds(base: SentencePieceVocabulary, texts: Texts, threads: int) -> list[list[str]]:
    """Return the rows about speed: our training and encoding beside that of the libraries, on the same text."""
    domain, job = texts.all_domain, Tokenizer(new_pieces=SIZES[-1], multiple=1)
    library = LibraryTokenizer.from_str(fast_tokenizer(base.content))

    def train() -> None:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(line for text in domain for line in text.split("\n") if line),
            model_writer=BytesIO(),
            model_type="bpe",
            vocab_size=8192,
            num_threads=threads,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            minloglevel=2,
        )

    works: dict[str, Callable[[], object]] = {
        f"continued_bpe, {SIZES[-1]:,} pieces": lambda: extend_vocabulary(
            base, texts.domain, texts.general, job, threads
        ),
        "sentencepiece, a new BPE model of 8,192 pieces": train,
        "encode_batch, 1 thread": lambda: base.encoder.encode_batch(domain, 1),
        f"encode_batch, {threads} threads": lambda: base.encoder.encode_batch(domain, threads),
        "tokenizers, encode_batch_fast, all cores": lambda: library.encode_batch_fast(domain, add_special_tokens=False),
    }
    return [[name, *timed(work)] for name, work in works.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vocabularies", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    texts, curves, paragraphs = Texts(), {}, ["# Tokens saved by new pieces"]
    bases = {name: load_vocabulary(Path(path)) for name, path in (item.split("=", 1) for item in options.vocabularies)}
    paragraphs.append(
        "Written by `python -m benchmarks.tokenizer_extension`: pieces are chosen on the training text of the default "
        "configuration (three cores; prose) and measured on its test text (three other cores; other pages). Limits are "
        "the default ones: at most 2e-5 occurrences per token of general text, and 50 times as many per token of "
        "domain text. Negative changes are savings. The pre-tokenizer of a byte-level BPE, which an extension keeps, "
        "ends words at underscores and brackets, so that fewer pieces can be made than with SentencePiece."
    )
    rows = []
    for name, base in bases.items():
        for label, variant in VARIANTS.items():
            points = curves[f"{name}, {label}"] = curve(base, texts, variant, options.threads)
            rows += [
                [name, label, f"{size:,}", f"{domain:+.2%}", f"{general:+.3%}"] for size, domain, general in points
            ]
    paragraphs.append(table(["base", "method", "new rows", "held-out cores", "general text"], rows))
    PAGE.with_suffix(".svg").write_text(chart(curves))
    paragraphs.append("![Tokens saved against new rows](tokenizer_extension.svg)")
    megabytes = sum(len(text.encode()) for text in texts.all_domain) / 1e6
    for name, base in bases.items():
        if isinstance(base, SentencePieceVocabulary):
            head = (
                f"{megabytes:.1f} MB of domain text with {name}, {options.threads} threads; other work ran beside it."
            )
            paragraphs.append(head)
            paragraphs.append(table(["work", "seconds", "processor seconds"], speeds(base, texts, options.threads)))
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
