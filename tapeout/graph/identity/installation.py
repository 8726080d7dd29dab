"""Content of an installed environment: the listing of its files, and comparisons of the installation with it.

The listing covers every file of the environment's folder, the interpreter with its library and headers, and the
standard library. Uses only the standard library itself, because ``identity.environment`` does.

Byte code is optional: Python writes it when a program of the environment is started by hand, and compiles a module
whose byte code is missing. Byte code that is not as listed is deleted, also that of optimization levels and of tools,
such as pytest: Python loads some of it, and a program can read all of it. A tool that finds it missing writes it again.
"""

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapeout.graph.errors import InvalidEnvironment, NotAPlainFile
from tapeout.graph.files import parse_json, read_file, read_json, write_atomically
from tapeout.graph.identity.digest import canonical, digest_bytes, digest_file, digest_files

MARK, LISTING, STATES = "complete", "contents.json", "states.json"
"""Names in the folder: the mark of a finished installation, the listing, and the states that a step compares."""
OWN = (MARK, LISTING, STATES)
TEMPORARY = re.compile(rf"\.(?:{'|'.join(map(re.escape, OWN))})\.[0-9a-f]+\.tmp")
"""Names of files that ``write_atomically`` is writing, or was when it was killed."""
KEYS = ("outside", "files", "links")
"""Keys of the listing."""
CACHE = "__pycache__"
NOT_LISTED = {"site-packages", "dist-packages"}
"""Folders of the standard library with packages that no virtual environment sees."""
SUFFIX = f".{sys.implementation.cache_tag}.pyc"
"""End of the names of byte code that this interpreter loads."""
BYTE_CODE = re.compile(rf"(?:.*/)?{CACHE}/[^/]+\.\w+-[^/]+\.pyc(\.\d+)?")
"""Byte code of this and other interpreters, optimization levels and tools, and that which Python is writing; all have a
tag. A name without one is a module: ``import __pycache__.name`` loads it."""
NATIVE_CODE = re.compile(rf"(?:.*/)?{CACHE}/[^/]+\.nb[ic]")
"""Caches of numba."""
QUERY = """
import json, sys, sysconfig
maps = open("/proc/self/maps").read().splitlines()
shared = {line.partition("/")[2] for line in maps if "/libpython" in line}
print(json.dumps([*sys.path, sysconfig.get_path("include"), *sorted("/" + path for path in shared)]))
"""


@dataclass(frozen=True)
class Mark:
    """Mark of a finished installation: digests of the environment and of its listing, and the interpreter's build."""

    environment: str
    listing: str
    interpreter: str

    @classmethod
    def read(cls, folder: Path) -> "Mark | None":
        """Return the mark of an environment; None if it is not completely installed."""
        path = folder / MARK
        lines = read_file(path).decode("utf-8", "replace").splitlines() if path.is_file() else []
        return cls(*lines) if len(lines) == 3 else None

    def write(self, folder: Path) -> None:
        """Mark an environment as completely installed."""
        write_atomically(folder / MARK, f"{self.environment}\n{self.listing}\n{self.interpreter}\n".encode())


@dataclass(frozen=True, order=True)
class Difference:
    """A file that is not as listed; ``problem`` is the rest of a sentence that begins with its path."""

    path: str
    problem: str


@dataclass
class Tree:
    """State of the files of an environment, by path: relative to its folder, or absolute outside of it.

    Attributes:
        files: size and modification time of every file; of a link, those of its target.
        changes: inode and change time of the same.
        links: targets of links.
        folders: modification times of folders.
        special: what is neither file, folder nor link.
    """

    files: dict[str, list[int]] = field(default_factory=dict)
    changes: dict[str, tuple[int, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    special: list[str] = field(default_factory=list)

    def add(self, path: str, info: os.stat_result) -> None:
        """Add a file."""
        self.files[path] = [info.st_size, info.st_mtime_ns]
        self.changes[path] = (info.st_ino, info.st_ctime_ns)

    def drop(self, path: str) -> None:
        """Leave out a file."""
        del self.files[path], self.changes[path]

    def change_digests(self) -> dict[str, str]:
        """Return a digest of inodes and change times of the files in each folder; it tells which have to be read."""
        lines: dict[str, list[str]] = {}
        for path, change in sorted(self.changes.items()):
            folder, _, name = path.rpartition("/")
            lines.setdefault(folder, []).append(f"{name}/{change}")
        return {
            folder: digest_bytes("\n".join(found).encode("utf-8", "surrogateescape"))[:16]
            for folder, found in lines.items()
        }


def complete(folder: Path, environment: str, interpreter: str) -> None:
    """List and digest every file of a finished installation; the last action is to write the mark.

    Raises:
        InvalidEnvironment: the interpreter does not start, or a package brought something that is not a file.
    """
    (folder / MARK).unlink(missing_ok=True)
    outside = _outside(folder / "bin" / "python")
    tree = _scan(folder, outside)
    if tree.special:
        raise InvalidEnvironment(f"{folder / tree.special[0]} is not a regular file.", "Remove its package.")
    for path in [path for path in tree.files if _is_other_byte_code(path)]:
        if not path.startswith("/"):
            (folder / path).unlink(missing_ok=True)
        tree.drop(path)
    names = sorted(tree.files)
    digests = digest_files(folder / name for name in names)
    files = {name: [*tree.files[name], digest] for name, digest in zip(names, digests, strict=True)}
    listing = canonical(dict(zip(KEYS, (outside, files, tree.links), strict=True)))
    write_atomically(folder / LISTING, listing)
    _write_states(folder, tree, outside)
    Mark(environment, digest_bytes(listing), interpreter).write(folder)


def listed_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and digest of every listed file, by path; empty if the listing is damaged."""
    listing = _read_listing(folder) or {"files": {}}
    return {path: (size, digest) for path, (size, _, digest) in listing["files"].items()}


def is_byte_code(path: str) -> bool:
    """Return whether a path is that of a cache, which Python or numba writes again when it is missing."""
    return BYTE_CODE.fullmatch(path) is not None or NATIVE_CODE.fullmatch(path) is not None


def unchanged(folder: Path) -> bool:
    """Return whether the files of most consequence, and the times of all folders, are as they were when last compared.

    Of the environment's own folder, whose time changes when the states are written, the names are compared.

    It takes a fraction of ``differences``, and does not see a file that was edited in place.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        states = read_json(folder / STATES)
        files = all(_state(folder / path) == state for path, state in states["files"].items())
        root = str(folder)
        if states.get("root", names := _names(folder)) != names:
            return False
        return files and all(
            os.stat(os.path.join(root, path)).st_mtime_ns == time  # noqa: PTH116 - there may be 10,000
            for path, time in states["folders"].items()
        )
    return False


def differences(folder: Path) -> list[Difference]:
    """Compare size and modification time of every file, and the links, with the listing; return what differs, sorted.

    Byte code that differs is deleted. A file whose modification time alone differs is read; if its bytes are right, it
    gets its time back. All files of a folder are read if the inode or change time of one differs from what the last
    comparison has noted, which costs reading everything after the environment was copied.
    """
    listing = _read_listing(folder)
    if listing is None:
        return [Difference(LISTING, "is missing or damaged")]
    files: dict[str, list[Any]] = listing["files"]
    links: dict[str, str] = listing["links"]
    tree = _scan(folder, listing["outside"])
    installed = (folder / LISTING).stat().st_ctime_ns
    for path in [path for path in tree.files if path not in files and _is_other_byte_code(path)]:
        if path.startswith("/") and tree.changes[path][1] <= installed:
            tree.drop(path)  # the interpreter had it already
    found = dict.fromkeys(tree.special, "is not a regular file")
    found |= {
        path: "is another link" for path in links.keys() | tree.links.keys() if links.get(path) != tree.links.get(path)
    }
    for path in [path for path, state in tree.files.items() if files.get(path, ())[:2] != state]:
        if path not in files:
            problem = "was added"
        elif tree.files[path][0] != files[path][0] or not _restore_time(folder / path, *files[path][1:]):
            problem = "was edited"
        else:
            continue
        _reject(found, folder, path, problem)
    noted, changes = _noted_changes(folder), tree.change_digests()
    edited = {name for name, digest in changes.items() if noted.get(name) != digest}
    listed = (tree.files.keys() & files.keys()) - found.keys()
    unread = sorted(path for path in listed if path.rpartition("/")[0] in edited)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        intact = pool.map(lambda path: _has_bytes(folder / path, files[path][2]), unread)
        for path, right in zip(unread, intact, strict=True):
            if not right:
                _reject(found, folder, path, "was edited")
    for path in files.keys() - tree.files.keys():
        if not is_byte_code(path):
            found.setdefault(path, "was removed")
    if not found and not (noted == changes and unchanged(folder)):
        with contextlib.suppress(OSError):  # another user's, or a full disk: the next step compares everything again
            _write_states(folder, tree, listing["outside"])
    return sorted(Difference(path, problem) for path, problem in found.items())


def _read_listing(folder: Path) -> dict[str, Any] | None:
    """Return the listing; None if it is not the one in the mark."""
    mark, path = Mark.read(folder), folder / LISTING
    data = read_file(path) if path.is_file() else b""
    if mark is None or digest_bytes(data) != mark.listing:
        return None
    with contextlib.suppress(ValueError):
        listing = parse_json(data)
        if isinstance(listing, dict) and sorted(listing) == sorted(KEYS):
            return listing
    return None


def _outside(python: Path) -> list[str]:
    """Return the paths outside of an environment of its interpreter's code and headers, some of which may not exist."""
    try:
        done = subprocess.run([python, "-I", "-S", "-c", QUERY], check=True, capture_output=True)
        paths = sorted(str(path) for path in json.loads(done.stdout))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise InvalidEnvironment(
            f"The interpreter {python} does not start: {error}.", "Install Python again."
        ) from error
    return [path for path in paths if not any(path.startswith(f"{other}/") for other in paths)]


def _scan(folder: Path, outside: Iterable[str]) -> Tree:
    tree, root = Tree(), str(folder)
    for path in outside:
        if Path(path).is_dir():
            _scan_folder(tree, root, path)
        else:
            _add_file(tree, path, Path(path))
    _scan_folder(tree, root, "")
    for name in tree.files.keys() & set(OWN):
        tree.drop(name)
    tree.folders.pop("", None)  # its time changes when the listing is written
    return tree


def _scan_folder(tree: Tree, root: str, start: str) -> None:
    """Add everything below a folder; ``os.scandir`` and strings, because there may be 60,000 files."""
    folders = [start]
    while folders:
        path = folders.pop()
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            full = os.path.join(root, path)
            tree.folders[path] = Path(full).stat().st_mtime_ns  # before it is read: a later change is noticed
            prefix = f"{path}/" if path else ""
            with os.scandir(full) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if path != start or not path or entry.name not in NOT_LISTED:
                            folders.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        try:
                            tree.add(name, entry.stat(follow_symlinks=False))
                        except FileNotFoundError:  # deleted meanwhile
                            continue
                    else:
                        _add_file(tree, name, Path(entry.path))


def _add_file(tree: Tree, name: str, path: Path) -> None:
    """Add a link, something special, or a file outside of the environment, which may be missing."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_symlink():
            tree.links[name] = os.fspath(path.readlink())
        elif not stat.S_ISREG(path.lstat().st_mode):
            tree.special.append(name)
        if path.is_file():
            tree.add(name, path.stat())


def _write_states(folder: Path, tree: Tree, outside: Iterable[str]) -> None:
    """Write what ``unchanged`` compares: the folders, the interpreter, and the files that change what Python loads."""
    folders = {path: time for path, time in tree.folders.items() if not _is_cache(path)}
    names = {path for path in tree.files if path == "pyvenv.cfg" or _in_packages(path)} | tree.links.keys()
    names |= {path for path in outside if not Path(path).is_dir()}
    states = {
        "files": {path: _state(folder / path) for path in names},
        "folders": folders,
        "root": _names(folder),
        "changes": tree.change_digests(),
    }
    write_atomically(folder / STATES, canonical(states))


def _names(folder: Path) -> list[str]:
    """Return the names in an environment's folder, without those of this module."""
    return sorted(path.name for path in folder.iterdir() if path.name not in OWN and not TEMPORARY.fullmatch(path.name))


def _noted_changes(folder: Path) -> dict[str, str]:
    """Return the digests of inodes and change times at the last comparison; empty if nothing has noted them."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return dict(read_json(folder / STATES)["changes"])
    return {}


def _is_cache(folder: str) -> bool:
    return folder.rpartition("/")[2] == CACHE


def _in_packages(path: str) -> bool:
    """Return whether Python reads a file of this path when it starts."""
    return path.endswith(".pth") and path.split("/")[-2:-1] == ["site-packages"]


def _state(path: Path) -> list[int] | None:
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return [info.st_size, info.st_mtime_ns]


def _is_other_byte_code(path: str) -> bool:
    """Return whether a path is that of byte code that is loaded only on request, such as that of ``python -O``."""
    return BYTE_CODE.fullmatch(path) is not None and not path.endswith(SUFFIX)


def _reject(found: dict[str, str], folder: Path, path: str, problem: str) -> None:
    """Delete what Python or this module writes again; add anything else to the differences."""
    if is_byte_code(path) or TEMPORARY.fullmatch(path):
        try:
            (folder / path).unlink(missing_ok=True)
            return
        except OSError:
            problem = f"{problem} and cannot be deleted"
    found.setdefault(path, problem)


def _has_bytes(path: Path, digest: str) -> bool:
    """Return whether a file has the listed bytes; byte code may be missing."""
    try:
        return digest_file(path) == digest
    except FileNotFoundError:
        return is_byte_code(str(path))
    except NotAPlainFile:
        return False


def _restore_time(path: Path, time: int, digest: str) -> bool:
    """Return whether a file has the listed bytes, and if so restore its time, which another program may rely on."""
    before = path.stat().st_ctime_ns
    if digest_file(path) != digest or path.stat().st_ctime_ns != before:
        return False
    with contextlib.suppress(PermissionError):  # another user's file: it is read again the next time
        os.utime(path, ns=(time, time))
    return True
