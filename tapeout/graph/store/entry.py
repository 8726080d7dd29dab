"""Entries of the store: an action and the manifest of its output, protected by one digest.

An entry may come from a shared folder or a remote, so everything in it is checked before it is used.
"""

import json
import re
from pathlib import PurePosixPath
from typing import Any

from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical, digest_bytes
from tapeout.graph.identity.manifest import Entry, Manifest

SHA256 = re.compile("[0-9a-f]{64}")


def encode(action: dict[str, Any], manifest: Manifest) -> bytes:
    """Return the bytes of an entry's file."""
    value = {"action": action, "manifest": manifest.as_json()}
    return canonical({"entry": value, "digest": digest_bytes(canonical(value))}) + b"\n"


def decode(data: bytes, action_digest: str) -> tuple[Action, Manifest]:
    """Return action and manifest of an entry's file, given the action digest in the file's name.

    Raises:
        ValueError: the entry was altered, is inconsistent, belongs to another action, or its manifest has a path that
            may lead out of the artifact or the store.
    """
    try:
        sealed = json.loads(data)
        action, listed = Action(sealed["entry"]["action"]), sealed["entry"]["manifest"]
        valid = digest_bytes(canonical(sealed["entry"])) == sealed["digest"] and action.digest == action_digest
        manifest = Manifest.from_json(listed)
        valid = valid and manifest.as_json() == listed and manifest.action == action_digest
        valid = valid and manifest.artifact == action.artifact and _well_formed(manifest)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not an entry") from error
    if not valid:
        raise ValueError("the entry is inconsistent, or has the wrong name")
    return action, manifest


def _well_formed(manifest: Manifest) -> bool:
    paths = [entry.path for entry in manifest.entries]
    if not all(_plain(entry) for entry in manifest.entries) or paths != sorted(set(paths)):
        return False
    if manifest.kind == "file":
        return paths == [""]
    folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return manifest.kind == "folder" and all(map(_inside, paths)) and folders.isdisjoint(paths)


def _plain(entry: Entry) -> bool:
    numbers = type(entry.executable) is bool and type(entry.size) is int and entry.size >= 0
    return numbers and type(entry.path) is str and type(entry.digest) is str and bool(SHA256.fullmatch(entry.digest))


def _inside(path: str) -> bool:
    """Return whether a path is relative, in its shortest form, and stays in its folder."""
    pure = PurePosixPath(path)
    return path == str(pure) != "." and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path
