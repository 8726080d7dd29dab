"""Search for secrets in an export: passwords, tokens and local paths.

A file with a secret is refused, never changed: without its password a text would no longer have the digest of the
action, and the auditor could not repeat the step.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.config.secrets import USER_IN_URL, has_secret
from tapeout.graph.identity.digest import BLOCK
from tapeout.provenance.errors import ExportRefused

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE)
"""Names of environment variables whose values are secret."""
MIN_LENGTH = 8
"""Characters of a secret; a shorter value is a switch."""


def private(root: Path, variables: Mapping[str, str] = os.environ) -> dict[str, bytes]:
    """Return what no file of an export may contain, by description: local folders and values of secret variables.

    A folder directly below ``/`` is not a secret, and its name may occur in any text.
    """
    folders = {"the name of the project's folder": root, "the name of your home folder": Path.home()}
    secrets = {what: os.fsencode(path) for what, path in folders.items() if len(path.parts) > 2}
    for name, value in sorted(variables.items()):
        # for example of package indices, whose URLs may be in a lock file
        values = {part for user in USER_IN_URL.findall(value) for part in (user, user.partition(":")[2])}
        # white space at its ends is no part of a secret: programs strip it, as of a token that was read from a file
        values |= {value.strip()} if SECRET_NAME.search(name) else set()
        for number, secret in enumerate(sorted(secret for secret in values if len(secret) >= MIN_LENGTH)):
            secrets[f"the secret in the variable {name}{f' ({number + 1})' if number else ''}"] = os.fsencode(secret)
    return secrets


def check_file(path: Path, name: str, secrets: dict[str, bytes]) -> None:
    """Read a file in blocks and raise ``ExportRefused`` for the first secret in it."""
    overlap = max(map(len, secrets.values()), default=1) - 1
    with open(path, "rb", buffering=0) as file:
        end = b""
        while block := file.read(BLOCK):
            text = end + block
            for what, secret in secrets.items():
                if secret in text:
                    raise ExportRefused(
                        f"The file {name} of the export would contain {what}.", "Remove it from that file."
                    )
            end = text[-overlap:] if overlap else b""


def check_value(value: Any, where: str) -> None:
    """Search all texts of a JSON value for URLs with a user, a password or a token.

    Raises:
        ExportRefused: with the name of the key, not the secret.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            check_value(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for inner in value:
            check_value(inner, where)
    elif isinstance(value, str) and has_secret(value):
        raise ExportRefused(
            f"{where} is a URL with a user, a password or a token.",
            "Set secrets as environment variables (HF_TOKEN, PIP_INDEX_URL), run again and export the new report.",
        )
