"""Comparison of an answer with the expected one: exact match, token F1, ROUGE-L, and SQuAD's exact match and F1."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from string import punctuation

TOKEN = re.compile(r"\w+|[^\w\s]")
"""A word, or a single character that is neither part of a word nor whitespace, as in code."""
WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]")
"""A character of Chinese or Japanese, which put no spaces between words."""
ARTICLE = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", punctuation)


def exact_match(generated: str, expected: str) -> bool:
    """Return whether two answers are equal after normalizing whitespace, as ``str.split`` does.

    Case and punctuation count. Lower-casing or dropping punctuation, as SQuAD does, equates different Verilog.
    """
    return generated.split() == expected.split()


def token_f1(generated: str, expected: str) -> float:
    """Return F1 of the tokens of two answers, regardless of their order; case and punctuation count."""
    return _f1(TOKEN.findall(generated), TOKEN.findall(expected))


def squad_words(text: str) -> list[str]:
    """Return the words that the official script of SQuAD compares: lower case, no punctuation, no English articles."""
    return ARTICLE.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split()


def squad_exact(generated: str, expected: str) -> bool:
    """Return whether two answers are equal after the normalization of SQuAD."""
    return squad_words(generated) == squad_words(expected)


def squad_f1(generated: str, expected: str) -> float:
    """Return F1 of the words of two answers after the normalization of SQuAD."""
    return _f1(squad_words(generated), squad_words(expected))


class RougeL:
    """ROUGE-L: F1 of the longest common subsequence of words (Lin 2004), between 0 and 1.

    As in the package ``rouge_score``, words are runs of letters and digits after lower-casing, without stemming. Its
    own tokenizer knows no letters but those of ASCII, so an answer in another script would score zero.
    """

    def __init__(self) -> None:
        """Prepare the scorer."""
        from rouge_score.rouge_scorer import RougeScorer

        self._scorer = RougeScorer(["rougeL"], tokenizer=self)

    @staticmethod
    def tokenize(text: str) -> list[str]:
        """Return the words of a text, for the scorer; accents and vowel signs belong to the letter before them."""
        words: list[str] = []
        is_inside = False
        for character in unicodedata.normalize("NFC", text.lower()):
            kind, is_alone = unicodedata.category(character)[0], WITHOUT_SPACES.match(character) is not None
            if kind not in "LN" and not (kind == "M" and is_inside):
                is_inside = False
                continue
            if is_inside and not is_alone:
                words[-1] += character
            else:
                words.append(character)
            is_inside = not is_alone
        return words

    def __call__(self, generated: str, expected: str) -> float:
        """Return the score; zero if a text has no word."""
        return float(self._scorer.score(expected, generated)["rougeL"].fmeasure)


def _f1(generated: Sequence[str], expected: Sequence[str]) -> float:
    """Return the harmonic mean of precision and recall of two bags of words; of an empty one, 1 if both are empty."""
    if not generated or not expected:
        return float(generated == expected)
    common = (Counter(generated) & Counter(expected)).total()
    return 2 * common / (len(generated) + len(expected))
