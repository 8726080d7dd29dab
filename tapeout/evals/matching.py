"""Comparison of a generated answer with the expected one."""

import re

_WORD = re.compile(r"[a-z0-9]+")


def normalise_whitespace(text: str) -> str:
    """Return the text without outer whitespace and with each inner run of whitespace as one space."""
    return " ".join(text.split())


def exact_match(generated: str, expected: str) -> bool:
    """Tell whether two answers are equal once their whitespace is normalised.

    Nothing else is forgiven. Lower-casing or dropping punctuation, as question-answering scores do, would make
    different Verilog equal (F34).
    """
    return normalise_whitespace(generated) == normalise_whitespace(expected)


def rouge_l(generated: str, expected: str) -> float:
    """ROUGE-L, the F1 of the longest common subsequence of words (Lin 2004), between 0 and 1.

    Words are runs of lower-case letters and digits after lower-casing, without stemming: the convention of the
    ``rouge_score`` package, so that values can be compared with published ones. Zero if either text has no word.
    """
    guess, truth = _WORD.findall(generated.lower()), _WORD.findall(expected.lower())
    common = longest_common_subsequence(guess, truth)
    if common == 0:
        return 0.0
    precision, recall = common / len(guess), common / len(truth)
    return 2 * precision * recall / (precision + recall)


def longest_common_subsequence(left: list[str], right: list[str]) -> int:
    """Length of the longest common subsequence, in O(len(left) x len(right)) time and one row of memory."""
    best = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for column, other in enumerate(right, start=1):
            above = best[column]
            best[column] = diagonal + 1 if word == other else max(above, best[column - 1])
            diagonal = above
    return best[-1]
