"""Content of an installed environment: the listing of its files, and comparisons of the installation with it.

The listing covers every file of the environment's folder, the interpreter with its library and headers, and the
standard library. Uses only the standard library itself, because ``identity.environment`` does.

Byte code is optional: Python writes it when a program of the environment is started by hand, and compiles a module
whose byte code is missing. Byte code that is not as listed is deleted. Names in ``__pycache__`` that this interpreter
does not load, such as those of pytest, are ignored.
"""

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapeout.graph.errors import InvalidEnvironment
from tapeout.graph.files import parse_json, read_file, read_json, write_atomically
from tapeout.graph.identity.digest import canonical, digest_bytes, digest_file, digest_files

MARK, LISTING, STATES = "complete", "contents.json", "states.json"
"""Names in the folder: the mark of a finished installation, the listing, and the states that a step compares."""
KEYS = ("outside", "files", "links")
"""Keys of the listing."""
CACHE = "__pycache__"
NOT_LISTED = {"site-packages", "dist-packages"}
"""Folders of the standard library with packages that no virtual environment sees."""
SUFFIX = f".{sys.implementation.cache_tag}.pyc"
"""End of the names of byte code that this interpreter loads."""
BYTE_CODE = re.compile(rf"((?:.*/)?){CACHE}/([^/]+){re.escape(SUFFIX)}")
OTHER_BYTE_CODE = re.compile(r".+\.\w+-.+\.pyc(\.\d+)?")
"""Byte code of other interpreters, optimization levels and tools, and that which Python is writing; all have a tag.
A name without one is a module: ``import __pycache__.name`` loads it."""
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
        links: targets of links.
        folders: modification times of folders.
        special: what is neither file, folder nor link.
    """

    files: dict[str, list[int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    special: list[str] = field(default_factory=list)


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

    It takes a fraction of ``differences``, and does not see a file that was edited in place.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        states = read_json(folder / STATES)
        files = all(_state(folder / path) == state for path, state in states["files"].items())
        root = str(folder)
        return files and all(
            os.stat(os.path.join(root, path)).st_mtime_ns == time  # noqa: PTH116 - there may be 10,000
            for path, time in states["folders"].items()
        )
    return False


def differences(folder: Path) -> list[Difference]:
    """Compare size and modification time of every file, and the links, with the listing; return what differs, sorted.

    Byte code that differs is deleted. A file whose time alone differs is read; if its bytes are right, it gets its time
    back.
    """
    listing = _read_listing(folder)
    if listing is None:
        return [Difference(LISTING, "is missing or damaged")]
    files: dict[str, list[Any]] = listing["files"]
    links: dict[str, str] = listing["links"]
    tree = _scan(folder, listing["outside"])
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
        if not is_byte_code(path):
            found.setdefault(path, problem)
        elif not _dropped(folder, path, files):
            found[path] = f"{problem} and cannot be deleted"
    for path in files.keys() - tree.files.keys():
        if not is_byte_code(path):
            found.setdefault(path, "was removed")
    if not found and not unchanged(folder):
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
    for name in (MARK, LISTING, STATES):
        tree.files.pop(name, None)
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
            prefix, in_cache = f"{path}/" if path else "", _is_cache(path)
            with os.scandir(full) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if path != start or not path or entry.name not in NOT_LISTED:
                            folders.append(name)
                    elif in_cache and not name.endswith(SUFFIX) and OTHER_BYTE_CODE.fullmatch(entry.name):
                        continue
                    elif entry.is_file(follow_symlinks=False):
                        try:
                            info = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:  # deleted meanwhile
                            continue
                        tree.files[name] = [info.st_size, info.st_mtime_ns]
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
            info = path.stat()
            tree.files[name] = [info.st_size, info.st_mtime_ns]


def _write_states(folder: Path, tree: Tree, outside: Iterable[str]) -> None:
    """Write what ``unchanged`` compares: the folders, the interpreter, and the files that change what Python loads."""
    folders = {path: time for path, time in tree.folders.items() if not _is_cache(path)}
    names = {path for path in tree.files if path == "pyvenv.cfg" or _in_packages(path)} | tree.links.keys()
    names |= {path for path in outside if not Path(path).is_dir()}
    states = {"files": {path: _state(folder / path) for path in names}, "folders": folders}
    write_atomically(folder / STATES, canonical(states))


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


def _dropped(folder: Path, path: str, files: Container[str]) -> bool:
    """Delete byte code, unless its source is not listed: then it is never loaded; return False if that is refused."""
    module = BYTE_CODE.fullmatch(path)
    if module is None or f"{module[1]}{module[2]}.py" in files:
        try:
            (folder / path).unlink(missing_ok=True)
        except OSError:
            return False
    return True


def _restore_time(path: Path, time: int, digest: str) -> bool:
    """Return whether a file has the listed bytes, and if so restore its time, which another program may rely on."""
    before = path.stat().st_ctime_ns
    if digest_file(path) != digest or path.stat().st_ctime_ns != before:
        return False
    with contextlib.suppress(PermissionError):  # another user's file: it is read again the next time
        os.utime(path, ns=(time, time))
    return True
