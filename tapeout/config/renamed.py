"""Configuration keys that were renamed or removed: an old key gives an error that names the new one."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

RENAMED: dict[str, str] = {}
"""New key of each old key, both dotted; ``*`` matches one name.

A value with a blank in it is a message for a key that has no successor. Keys of the site file begin with ``site.``.
"""


def renamed(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return a sentence part for each outdated key in a configuration, e.g. ``dapt.clip is now dapt.grad_clip``.

    Args:
        config: the nested mapping as read from YAML, not validated.
        prefix: dotted key of the mapping itself, with a trailing dot.
    """
    messages = []
    for key in _keys(config, prefix):
        old = next((old for old in RENAMED if _matches(key, old)), None)
        if old is not None:
            new = RENAMED[old]
            messages.append(f"{key}: {new}" if " " in new else f"{key} is now {_filled(new, key, old)}")
    return messages


def _keys(config: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in config.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")


def _matches(key: str, old: str) -> bool:
    return key.count(".") == old.count(".") and all(map(fnmatchcase, key.split("."), old.split(".")))


def _filled(new: str, key: str, old: str) -> str:
    """Return the new key with the names that stand for ``*`` in the old one."""
    names = [name for name, part in zip(key.split("."), old.split("."), strict=True) if part == "*"]
    for name in names:
        new = new.replace("*", name, 1)
    return new
