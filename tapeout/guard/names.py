"""Names of the members of archives and folders: plain relative paths, each once, none below a file."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeout.guard.errors import UnusableModel, refuse

MAX_MEMBERS = 100_000
MAX_NAME, MAX_PATH, MAX_DEPTH = 255, 1024, 32
MAX_MEMBER_BYTES = 1 << 40
MAX_TOTAL_BYTES = 1 << 42
"""The largest models have terabytes; a forged header has exabytes."""


@dataclass(frozen=True)
class Member:
    """A regular file or folder in an archive.

    Attributes:
        name: plain relative path with ``/``.
        size: bytes of the content.
        folder: whether it is a folder.
        executable: whether its owner may execute it.
        offset: position of the content in the (unpacked) archive; -1 if unknown.
    """

    name: str
    size: int
    folder: bool = False
    executable: bool = False
    offset: int = -1


def plain_name(raw: str, what: str, folder: bool = False) -> str:
    """Return a member's name as a plain path; empty for the archive's own root.

    A leading ``./`` and, for a folder, a final ``/`` are dropped: NVIDIA's archives have them.

    Raises:
        UnusableModel: it is absolute, leads out, is unprintable or too long, or has an empty part or a ``.``.
    """
    shown = repr(raw[:100])
    name = raw.removesuffix("/") if folder else raw
    if folder and name == ".":
        return ""
    name = name.removeprefix("./")
    parts = name.split("/")
    reasons = {
        "contains a name that is not printable UTF-8": not name.isprintable(),
        f"contains the absolute path {shown}": name.startswith("/"),
        f"contains {shown}, a path outside it": ".." in parts,
        f"contains {shown}, which is not a plain path": "" in parts or "." in parts or "\\" in name,
        f"contains a name of {len(name):,} characters": len(name.encode("utf-8", "replace")) > MAX_PATH
        or len(parts) > MAX_DEPTH
        or max(len(part.encode("utf-8", "replace")) for part in parts) > MAX_NAME,
    }
    for reason, applies in reasons.items():
        if applies:
            raise refuse(what, reason)
    return name


def check_space(members: Iterable[Member], folder: Path, what: str, max_bytes: int | None = None) -> int:
    """Return the bytes of all members, which fit ``max_bytes`` and the disk of ``folder``.

    Raises:
        UnusableModel: they do not.
    """
    total = sum(member.size for member in members)
    if max_bytes is not None and total > max_bytes:
        raise refuse(what, f"unpacks to {total:,} bytes; at most {max_bytes:,} are unpacked here")
    disk = os.statvfs(next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir()))
    if total > disk.f_bavail * disk.f_frsize:
        raise UnusableModel(
            f"{what} unpacks to {total:,} bytes, and {disk.f_bavail * disk.f_frsize:,} are free in {folder}.",
            "Free some space there, or name another folder in TMPDIR.",
        )
    return total


def check_members(members: Iterable[Member], what: str) -> list[Member]:
    """Return the members of an archive, sorted by nothing but their own order.

    Raises:
        UnusableModel: there is none or are too many, one is repeated, is both a file and a folder, or is too large.
    """
    kinds: dict[str, bool] = {}
    checked: list[Member] = []
    total = 0
    for member in members:
        if member.name in kinds:
            raise refuse(what, f"contains {member.name!r} twice")
        kinds[member.name] = member.folder
        total += member.size
        checked.append(member)
        if len(checked) > MAX_MEMBERS:
            raise refuse(what, f"has more than {MAX_MEMBERS:,} members")
        if member.size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
            raise refuse(what, f"announces {max(member.size, total):,} bytes, more than any model has")
    for name in kinds:
        for end in (index for index, letter in enumerate(name) if letter == "/"):
            if not kinds.get(name[:end], True):
                raise refuse(what, f"contains {name!r} below a file")
    return checked
