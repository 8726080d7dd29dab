"""A made-up corpus of any size that looks like text and code: words by Zipf's law, lines that come again.

Tokenizing and signatures are fast or slow by how often words come again, so that words drawn evenly would say nothing
about real text. A few documents repeat others, as they are or but for a line.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

WORDS = 200_000
LINES = 400_000
LONGEST_WORD = 14
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
"""Of so many documents one is equal to its predecessor, and one but for a line."""


def lines(random: np.random.Generator) -> list[str]:
    """Lines of 2 to 16 words, some of them indented."""
    words = list(dict.fromkeys(_word(random) for _ in range(WORDS)))
    shares = 1 / (np.arange(len(words)) + 2.7)
    bounds = np.cumsum(shares / shares.sum())
    lengths = random.integers(2, 17, LINES)
    drawn: NDArray[np.int64] = np.searchsorted(bounds, random.random(int(lengths.sum())))
    ends = random.integers(0, len(ENDS), len(drawn)).tolist()
    said = [words[min(word, len(words) - 1)] + ENDS[end] for word, end in zip(drawn.tolist(), ends, strict=True)]
    depths = random.choice([0, 0, 0, 2, 4, 8], LINES).tolist()
    stops = np.cumsum(lengths).tolist()
    return [
        " " * depth + " ".join(said[stop - length : stop])
        for depth, length, stop in zip(depths, lengths.tolist(), stops, strict=True)
    ]


def _word(random: np.random.Generator) -> str:
    if random.random() < 0.1:
        return str(random.integers(0, 100_000))
    count = int(random.integers(1, 6))
    word = "".join(SYLLABLES[place] for place in random.integers(0, len(SYLLABLES), count).tolist())
    return word[:LONGEST_WORD].capitalize() if random.random() < 0.1 else word[:LONGEST_WORD]


def documents(seed: int) -> Iterator[str]:
    """Yield documents of 10 to 400 lines, for ever."""
    random = np.random.default_rng(seed)
    pool = lines(random)
    before: list[str] = []
    number = 0
    while True:
        lengths = random.integers(10, 400, AT_ONCE)
        places = random.integers(0, len(pool), int(lengths.sum())).tolist()
        start = 0
        for length in lengths.tolist():
            chosen = [pool[place] for place in places[start : start + length]]
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
    """Write ``count`` rows as Dolly has them: a third with a context, some equal or nearly equal.

    A row takes some 870 bytes, as on average there. One in twelve has letters beyond ASCII, one in twenty white space
    that the rule takes away, one in a hundred line ends of Windows.
    """
    random = np.random.default_rng(seed)
    pool = lines(random)
    kinds = ("open_qa", "closed_qa", "brainstorming", "summarization", "classification", "creative_writing")
    rows: list[dict[str, str]] = []

    def said(least: int, most: int, between: str) -> str:
        places = random.integers(0, len(pool), random.integers(least, most))
        return between.join(pool[place].strip() for place in places.tolist())

    while len(rows) < count:
        draw = random.random()
        if rows and draw < 0.02:
            earlier = rows[int(random.integers(0, len(rows)))]
            rows.append(earlier if draw < 0.005 else {**earlier, "instruction": f"{earlier['instruction']} Please."})
            continue
        context = said(5, 20, "\r\n" if draw < 0.05 else "\n") if random.random() < 0.3 else ""
        instruction = said(1, 3, " ") + ("? " if draw < 0.07 else "?")
        response = said(1, 8, "\n\n") + (" \u2013 na\u00efve \u6f22" if draw < 0.1 else ".")
        category = kinds[int(random.integers(0, len(kinds)))]
        rows.append({"instruction": instruction, "context": context, "response": response, "category": category})
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
