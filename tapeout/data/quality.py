"""Whether a document is text worth learning from: simple measures that a person can check, one reason each."""

import re

from tapeout.config.pretraining import Quality

NOT_WORDS = re.compile(r"[^\w\s]|_")
SPACE = re.compile(r"\s+")


def poor(text: str, settings: Quality) -> str:
    """Why a document is left out, or an empty string."""
    lines = text.split("\n")
    if max(map(len, lines)) > settings.longest_line:
        return "a line too long"
    dense = SPACE.sub("", text)
    words = len(NOT_WORDS.sub("", dense))
    if words < settings.smallest_share_of_words * len(dense):
        return "few letters and digits"
    said: set[str] = set()
    repeated = 0
    for line in map(str.strip, lines):
        if line in said:
            repeated += len(line)
        said.add(line)
    return "repeats itself" if repeated > settings.largest_share_of_repeats * max(1, len(text)) else ""
