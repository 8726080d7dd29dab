"""Synthetic corpus of any size that resembles text and code: words by Zipf's law, repeated lines.

The speed of tokenization and signatures depends on how often words repeat, so uniformly drawn words would not be
representative. A few documents repeat others, unchanged or except for one line.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

WORDS = 200_000
LINES = 400_000
MAX_WORD_CHARACTERS = 14
AT_ONCE = 10_000
"""Documents whose lines are drawn at once."""
SYLLABLES = (
    "a",
    "be",
    "cor",
    "da",
    "en",
    "fi",
    "gra",
    "in",
    "lo",
    "mu",
    "ne",
    "or",
    "pre",
    "ra",
    "se",
    "ti",
    "un",
    "ver",
    "wa",
    "al_",
    "clk",
    "reg",
    "net",
    "out",
    "in_",
    "data",
    "re",
    "st",
    "ing",
)
ENDS = ("", "", "", "", "", "", "", ",", ".", ";", "()", ":", " =", " <=", "[0]")
REPEATS = 50
"""One document in this many equals its predecessor, and one does except for a line."""


def lines(random: np.random.Generator) -> list[str]:
    """Return lines of 2 to 16 words, some of them indented."""
    words = list(dict.fromkeys(_word(random) for _ in range(WORDS)))
    weights = 1 / (np.arange(len(words)) + 2.7)
    bounds = np.cumsum(weights / weights.sum())
    lengths = random.integers(2, 17, LINES)
    drawn: NDArray[np.int64] = np.searchsorted(bounds, random.random(int(lengths.sum())))
    ends = random.integers(0, len(ENDS), len(drawn)).tolist()
    tokens = [words[min(word, len(words) - 1)] + ENDS[end] for word, end in zip(drawn.tolist(), ends, strict=True)]
    depths = random.choice([0, 0, 0, 2, 4, 8], LINES).tolist()
    stops = np.cumsum(lengths).tolist()
    return [
        " " * depth + " ".join(tokens[stop - length : stop])
        for depth, length, stop in zip(depths, lengths.tolist(), stops, strict=True)
    ]


def _word(random: np.random.Generator) -> str:
    if random.random() < 0.1:
        return str(random.integers(0, 100_000))
    count = int(random.integers(1, 6))
    word = "".join(SYLLABLES[index] for index in random.integers(0, len(SYLLABLES), count).tolist())
    return word[:MAX_WORD_CHARACTERS].capitalize() if random.random() < 0.1 else word[:MAX_WORD_CHARACTERS]


def documents(seed: int) -> Iterator[str]:
    """Yield documents of 10 to 400 lines without end."""
    random = np.random.default_rng(seed)
    pool = lines(random)
    before: list[str] = []
    number = 0
    while True:
        lengths = random.integers(10, 400, AT_ONCE)
        indices = random.integers(0, len(pool), int(lengths.sum())).tolist()
        start = 0
        for length in lengths.tolist():
            chosen = [pool[index] for index in indices[start : start + length]]
            start += length
            number += 1
            if number % REPEATS == 0:
                chosen = before
            elif number % REPEATS == 1 and before:
                chosen = [*before[:-1], chosen[0]]
            before = chosen
            yield "\n".join(chosen)


def write_corpus(path: Path, size: int, seed: int = 1) -> int:
    """Write about ``size`` bytes of JSON Lines; return the number of documents."""
    written = count = 0
    with path.open("wb") as stream:
        for text in documents(seed):
            if written >= size:
                break
            written += stream.write(orjson.dumps({"text": text}) + b"\n")
            count += 1
    return count


def write_rows(path: Path, count: int, seed: int = 1) -> None:
    """Write ``count`` rows like Dolly's: a third with a context, some equal or nearly equal.

    A row has about 870 bytes, the average of Dolly. One in twelve has non-ASCII letters, one in twenty white space that
    is stripped, one in a hundred Windows line ends.
    """
    random = np.random.default_rng(seed)
    pool = lines(random)
    kinds = ("open_qa", "closed_qa", "brainstorming", "summarization", "classification", "creative_writing")
    rows: list[dict[str, str]] = []

    def text(min_lines: int, max_lines: int, separator: str) -> str:
        indices = random.integers(0, len(pool), random.integers(min_lines, max_lines))
        return separator.join(pool[index].strip() for index in indices.tolist())

    while len(rows) < count:
        draw = random.random()
        if rows and draw < 0.02:
            earlier = rows[int(random.integers(0, len(rows)))]
            rows.append(earlier if draw < 0.005 else {**earlier, "instruction": f"{earlier['instruction']} Please."})
            continue
        context = text(5, 20, "\r\n" if draw < 0.05 else "\n") if random.random() < 0.3 else ""
        instruction = text(1, 3, " ") + ("? " if draw < 0.07 else "?")
        response = text(1, 8, "\n\n") + (" \u2013 na\u00efve \u6f22" if draw < 0.1 else ".")
        category = kinds[int(random.integers(0, len(kinds)))]
        rows.append({"instruction": instruction, "context": context, "response": response, "category": category})
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
