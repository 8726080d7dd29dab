"""Whether a document is text worth learning from: simple measures that a person can check, one reason each."""

import re

from tapeout.config.pretraining import Quality

NOT_WORDS = re.compile(r"[^\w\s]|_")
SPACE = re.compile(r"\s+")
ASCII = bytes(range(128))
SPACES = b" \t\n\r\f\v\x1c\x1d\x1e\x1f"
OTHERS = SPACES + bytes(code for code in ASCII if not chr(code).isalnum())


def poor(text: str, settings: Quality) -> str:
    """Why a document is left out, or an empty string."""
    lines = text.split("\n")
    if max(map(len, lines)) > settings.max_line_characters:
        return "a line too long"
    dense, words = measure(text)
    if words < settings.min_word_fraction * dense:
        return "few letters and digits"
    said: set[str] = set()
    repeated = 0
    for line in map(str.strip, lines):
        if line in said:
            repeated += len(line)
        said.add(line)
    return "repeats itself" if repeated > settings.max_repeated_fraction * max(1, len(text)) else ""


def measure(text: str) -> tuple[int, int]:
    """How many characters are no white space, and how many are letters or digits."""
    content = text.encode("utf-8", "surrogatepass")
    dense, words = len(content.translate(None, SPACES)), len(content.translate(None, OTHERS))
    if len(content) > len(text):
        # these were counted as bytes; the expressions see what is not ASCII alone, which is mostly little
        rest = content.translate(None, ASCII)
        others = SPACE.sub("", rest.decode("utf-8", "surrogatepass"))
        dense += len(others) - len(rest)
        words += len(NOT_WORDS.sub("", others)) - len(rest)
    return dense, words
