"""What must not leave the house: passwords, tokens, and where on this machine things lie.

A file is only ever left out or refused, never changed: a text without its password would no longer be what the step's
digest was taken over, and the auditor could not repeat it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.errors import TapeoutError
from tapeout.graph.identity.digest import BLOCK

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE)
"""Names of environment variables whose values are secret."""
SHORTEST = 8
"""Characters of a value that can be a secret; a shorter one is a switch."""
USER_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://([^/\s?#@]+)@", re.IGNORECASE)
SIGNED_URL = re.compile(
    r"://\S*[?&]([a-z_-]*(token|secret|passw(or)?d|api_?key|access_?key|signature|credential)|sig|key)=", re.IGNORECASE
)


class SecretInExport(TapeoutError):
    """The export would give away a password, a token or a place on this machine."""


def private(root: Path, variables: Mapping[str, str] = os.environ) -> dict[str, bytes]:
    """What no file of an export may hold, by what it is: the folders of project and user, values of secret variables.

    A folder directly below ``/`` is no secret, and its name may stand in any text.
    """
    folders = {"the name of the project's folder": root, "the name of your home folder": Path.home()}
    found = {what: os.fsencode(path) for what, path in folders.items() if len(path.parts) > 2}
    for name, value in sorted(variables.items()):
        # those of package indices, for one, can have got into a lock
        secrets = {part for user in USER_IN_URL.findall(value) for part in (user, user.partition(":")[2])}
        secrets |= {value} if SECRET_NAME.search(name) else set()
        for number, secret in enumerate(sorted(secret for secret in secrets if len(secret) >= SHORTEST)):
            found[f"what is secret in the variable {name}{f' ({number + 1})' if number else ''}"] = os.fsencode(secret)
    return found


def check_file(path: Path, name: str, secrets: dict[str, bytes]) -> None:
    """Read a file in blocks and look for each secret; raises ``SecretInExport`` for the first."""
    overlap = max(map(len, secrets.values()), default=1) - 1
    with open(path, "rb", buffering=0) as file:
        end = b""
        while block := file.read(BLOCK):
            text = end + block
            for what, secret in secrets.items():
                if secret in text:
                    raise SecretInExport(f"The file {name} of the export would hold {what}.", "Take it out there.")
            end = text[-overlap:] if overlap else b""


def check_value(value: Any, where: str) -> None:
    """Look for addresses with a user, a password or a token in all texts of a JSON value.

    Raises:
        SecretInExport: naming the place, not the secret.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            check_value(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for inner in value:
            check_value(inner, where)
    elif isinstance(value, str) and (USER_IN_URL.search(value) or SIGNED_URL.search(value)):
        raise SecretInExport(
            f"{where} is an address with a user, a password or a token in it.",
            "Give secrets in the environment (docs: HF_TOKEN, PIP_INDEX_URL), run again and export the new report.",
        )
