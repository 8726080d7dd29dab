"""Secrets in addresses: users, passwords, tokens and signatures, which no file of a project or export may have."""

import re
from typing import Any
from urllib.parse import unquote

USER_IN_URL = re.compile(
    r"""(?:[a-z][a-z0-9+.-]*://|(?<![^\s"'=(,;])//(?=[^/\s?#@:]*:))([^/\s?#@]+)@""",
    re.IGNORECASE,
)
"""Address with a user; one without a scheme has a password, too, because ``//a@b`` may be something else."""
SIGNED_URL = re.compile(
    r"//\S*[?&#;]([\w.-]*(token|secret|passw(or)?d|passwd|pwd|(api|access|private|subscription)[_-]?key([_-]?id)?"
    r"|signature|credentials?|authorization)|([\w.-]*[_.-])?pass(phrase)?|auth|jwt|sas|sig|key)=",
    re.IGNORECASE,
)
"""Address with a query parameter of such a name, such as ``X-Amz-Signature``, ``sig`` or ``access_token``."""
MAX_ENCODINGS = 8
"""Maximum number of times that a text may be percent-encoded; one that is encoded more often counts as a secret."""


def has_secret(text: str) -> bool:
    """Return whether a text contains an address with a user, a password, a token or a signature."""
    for _ in range(MAX_ENCODINGS + 1):
        if USER_IN_URL.search(text) or SIGNED_URL.search(text):
            return True
        decoded = unquote(text)
        if decoded == text:
            return False
        text = decoded
    return True


def contains_secret(value: Any) -> bool:
    """Return whether a text in a JSON value has a secret in an address."""
    if isinstance(value, dict):
        return any(map(contains_secret, value.values()))
    if isinstance(value, list | tuple):
        return any(map(contains_secret, value))
    return isinstance(value, str) and has_secret(value)
