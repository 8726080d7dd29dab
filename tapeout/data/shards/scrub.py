"""Addresses and secrets taken out of a text. What is found is replaced, never kept, and counted by kind."""

import re
from collections import Counter

from tapeout.config.pretraining import Scrub

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
"""Begins only where a word does, so that a long run of letters is looked at once."""

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

SIGNS = {
    "private key": ("PRIVATE KEY",),
    "access key": ("AKIA", "ASIA"),
    "token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "xox", "sk-", "AIza", "eyJ"),
    "password in a URL": ("://",),
}
"""What must stand in a text for a pattern to be found; looked for first, because that is much quicker."""
DOMAIN = re.compile(r"@[A-Za-z0-9-]{1,63}\.")


def scrub(text: str, settings: Scrub, found: Counter[str]) -> str:
    """The text with placeholders for what ``settings`` names; ``found`` counts them."""
    if settings.secrets:
        for kind, pattern in SECRETS.items():
            if not any(sign in text for sign in SIGNS[kind]):
                continue
            text, count = pattern.subn("<secret>", text)
            if count:
                found[kind] += count
    if settings.emails and DOMAIN.search(text):
        text, count = EMAIL.subn("<email>", text)
        if count:
            found["e-mail"] += count
    return text
