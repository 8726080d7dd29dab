"""Secrets in addresses: users, passwords, tokens and signatures, which no file of a project or export may have."""

import re
from typing import Any
from urllib.parse import unquote

USER_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://([^/\s?#@]+)@", re.IGNORECASE)
SIGNED_URL = re.compile(
    r"://\S*[?&#;]([a-z_-]*(token|secret|passw(or)?d|passwd|pwd|api_?key|access_?key(_?id)?|private_?key|signature"
    r"|credential|authorization)|auth|jwt|sas|sig|key)=",
    re.IGNORECASE,
)
"""Address with a query parameter of such a name, such as ``X-Amz-Signature``, ``sig`` or ``access_token``."""


def has_secret(text: str) -> bool:
    """Return whether a text contains an address with a user, a password, a token or a signature."""
    return any(USER_IN_URL.search(form) or SIGNED_URL.search(form) for form in (text, unquote(text)))


def contains_secret(value: Any) -> bool:
    """Return whether a text in a JSON value has a secret in an address."""
    if isinstance(value, dict):
        return any(map(contains_secret, value.values()))
    if isinstance(value, list | tuple):
        return any(map(contains_secret, value))
    return isinstance(value, str) and has_secret(value)
