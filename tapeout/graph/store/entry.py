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
MAX_NAME = 255
"""Bytes of a name that file systems accept."""
START, MIDDLE, END = b'{"digest":"%s","entry":', b',"manifest":', b"}\n"
"""Parts of an entry's file, in the form that ``encode`` writes."""


def encode(action: dict[str, Any], manifest: Manifest) -> bytes:
    """Return the bytes of an entry's file."""
    value = {"action": action, "manifest": manifest.as_json()}
    return canonical({"entry": value, "digest": digest_bytes(canonical(value))}) + b"\n"


def content_digest(action: Action, manifest: Manifest) -> str:
    """Return the digest that protects an entry, and that its signature is about."""
    return digest_bytes(canonical({"action": action.value, "manifest": manifest.as_json()}))


def repeats(data: bytes, text: bytes, manifest: Manifest) -> str:
    """Return the digest of an entry's file if it has the manifest whose file is ``text``, else an empty string.

    Much quicker than ``decode``, because no JSON is parsed. An entry that ``encode`` would have written otherwise
    gives an empty string although it may be valid.
    """
    content = data[len(START % bytes(64)) : -len(END)]
    action = content.removeprefix(b'{"action":').removesuffix(MIDDLE + text.removesuffix(b"\n") + b"}")
    digest = digest_bytes(content)
    same = data == START % digest.encode() + content + END
    same = same and content == b'{"action":' + action + MIDDLE + text.removesuffix(b"\n") + b"}"
    same = same and action.startswith(b'{"artifact":%s,' % canonical(manifest.artifact))
    same = same and digest_bytes(action) == manifest.action and _well_formed(manifest)
    return digest if same else ""


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
        valid = valid and _has_form(action.value)
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


def _has_form(action: dict[str, Any]) -> bool:
    """Return whether those parts of an action that other modules look into have the types of an action's."""
    code, environment, inputs = (action.get(name, {}) for name in ("code", "environment", "inputs"))
    if not all(isinstance(part, dict) for part in (code, environment, inputs, action.get("params", {}))):
        return False
    items = [item for value in inputs.values() for item in (value if isinstance(value, list) else [value])]
    forms = all(isinstance(item, dict) and item.keys() == {"artifact", "path", "digest"} for item in items)
    texts = [*code.values(), *environment.values(), *(text for item in items if forms for text in item.values())]
    return forms and type(action["artifact"]) is str and all(type(text) is str for text in texts)


def _plain(entry: Entry) -> bool:
    numbers = type(entry.executable) is bool and type(entry.size) is int and entry.size >= 0
    return numbers and type(entry.path) is str and type(entry.digest) is str and bool(SHA256.fullmatch(entry.digest))


def _inside(path: str) -> bool:
    """Return whether a path is relative, in its shortest form, inside its folder, and of names that files can have."""
    pure = PurePosixPath(path)
    inside = path == str(pure) != "." and not pure.is_absolute() and ".." not in pure.parts
    return inside and path.isprintable() and all(len(part.encode()) <= MAX_NAME for part in pure.parts)
