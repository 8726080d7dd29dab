"""Quality filter and scrubbing of documents, by simple measures that a person can check."""

import re
from collections import Counter

from tapeout.config.pretraining import Quality, Scrub

NOT_WORDS = re.compile(r"[^\w\s]|_")
SPACE = re.compile(r"\s+")
ASCII = bytes(range(128))
ASCII_SPACES = b" \t\n\r\f\v\x1c\x1d\x1e\x1f"
ASCII_NOT_WORDS = ASCII_SPACES + bytes(code for code in ASCII if not chr(code).isalnum())

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
"""Matches only from the start of a word, so that a long run of letters is scanned once."""
DOMAIN = re.compile(r"@[A-Za-z0-9-]{1,63}\.")
SECRETS = {
    "private key": re.compile(
        r"-----BEGIN (?P<of>[A-Z ]{0,20})PRIVATE KEY(?: BLOCK)?-----.{1,20000}?"
        r"-----END (?P=of)PRIVATE KEY(?: BLOCK)?-----",
        re.DOTALL,
    ),
    "access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token": re.compile(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255}|glpat-[\w-]{20,64}|hf_[A-Za-z0-9]{30,64}"
        r"|xox[abprs]-[A-Za-z0-9-]{10,250}|sk-[A-Za-z0-9_-]{20,200}|AIza[\w-]{35}"
        r"|eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,2000})"
    ),
    "password in a URL": re.compile(r"(?<=://)[^\s/:@\"']{1,64}:[^\s/:@\"']{1,128}(?=@)"),
}
HINTS = {
    "private key": ("PRIVATE KEY",),
    "access key": ("AKIA", "ASIA"),
    "token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "xox", "sk-", "AIza", "eyJ"),
    "password in a URL": ("://",),
}
"""Substrings of every match of a pattern; searched first, because that is much faster."""


def quality_problem(text: str, settings: Quality) -> str:
    """Return why a document is left out, or an empty string."""
    lines = text.split("\n")
    if max(map(len, lines)) > settings.max_line_characters:
        return "a line too long"
    dense, words = measure(text)
    if words < settings.min_word_fraction * dense:
        return "few letters and digits"
    seen: set[str] = set()
    repeated = 0
    for line in map(str.strip, lines):
        if line in seen:
            repeated += len(line)
        seen.add(line)
    return "repeats itself" if repeated > settings.max_repeated_fraction * max(1, len(text)) else ""


def measure(text: str) -> tuple[int, int]:
    """Return the number of characters that are not white space, and of letters and digits."""
    content = text.encode("utf-8", "surrogatepass")
    dense, words = len(content.translate(None, ASCII_SPACES)), len(content.translate(None, ASCII_NOT_WORDS))
    if len(content) > len(text):
        # so far other characters were counted by their bytes; correct that with the patterns, on these characters alone
        rest = content.translate(None, ASCII)
        others = SPACE.sub("", rest.decode("utf-8", "surrogatepass"))
        dense += len(others) - len(rest)
        words += len(NOT_WORDS.sub("", others)) - len(rest)
    return dense, words


def scrub(text: str, settings: Scrub, counts: Counter[str]) -> str:
    """Replace email addresses and secrets, as ``settings`` says, by placeholders; count them by kind."""
    if settings.secrets:
        for kind, pattern in SECRETS.items():
            if not any(hint in text for hint in HINTS[kind]):
                continue
            text, count = pattern.subn("<secret>", text)
            if count:
                counts[kind] += count
    if settings.emails and DOMAIN.search(text):
        text, count = EMAIL.subn("<email>", text)
        if count:
            counts["e-mail"] += count
    return text
