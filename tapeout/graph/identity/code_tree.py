"""Trees of code: exactly the digested files of a program, in a folder that is the only one on its module path.

What static analysis did not find is missing there, and fails at run time: computed imports, ``python -m``, pickled
names, files read beside a module. A module is written from its syntax tree without docstrings and comments, so that
the program cannot see what its digest does not cover: ``__doc__`` is None, and ``inspect.getsource`` returns this text.

A tree is a snapshot: code that is edited during a run has no effect on the steps of that run. ``<digest>/tree`` has the
files, and ``<digest>/files.json`` their SHA-256, which is compared before each use.
"""

import ast
import contextlib
import os
import py_compile
import stat
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tapeout.graph.deletion import delete
from tapeout.graph.errors import InputChanged, InvalidRule, NotAPlainFile
from tapeout.graph.files import file_lock, read_json, settle
from tapeout.graph.identity.code import UNUSABLE, digest_tree, parse
from tapeout.graph.identity.digest import canonical, digest_bytes, digest_value
from tapeout.graph.identity.manifest import EPOCH

INSIDE = "/tapeout/code"
"""Path of the tree for the program, which is also in its byte code."""
LISTING, TREE, LOCK = "files.json", "tree", ".lock"
FORMAT = 1
"""Version of the way in which trees are written."""


def materialise(code: Mapping[str, str], root: Path, folder: Path) -> Path:
    """Return the tree of a program's code, which is written if it is missing or damaged.

    Args:
        code: digest of each file of the program's code, by path relative to ``root`` (``closure``).
        root: the project.
        folder: folder of all trees.

    Raises:
        InputChanged: a file of the project is missing or has another digest.
        InvalidRule: a module cannot be written without its comments.
    """
    target = folder / digest_value([FORMAT, sys.version, dict(code)])
    if not _is_intact(target):
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder / LOCK):
            if not _is_intact(target):
                remove(target)
                _write(code, root, target)
    with contextlib.suppress(PermissionError):
        os.utime(target)  # the collector deletes what was not used for a day
    return target / TREE


def _write(code: Mapping[str, str], root: Path, target: Path) -> None:
    new = Path(tempfile.mkdtemp(prefix=".new.", dir=target.parent))
    try:
        digests = {}
        for name, digest in sorted(code.items()):
            for path, content in _files(root, name, digest).items():
                file = new / TREE / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                digests[path] = digest_bytes(content)
        (new / LISTING).write_bytes(canonical(digests))
        _settle(new / TREE)
        new.chmod(0o755)
        new.rename(target)
    finally:
        remove(new)


def _settle(tree: Path) -> None:
    """Give the files and folders of a tree the modes and times that every program sees."""
    for path in [tree, *tree.rglob("*")]:
        settle(path, 0o555 if path.is_dir() else 0o444, EPOCH * 10**9)


def times(tree: Path) -> dict[str, tuple[int, ...]]:
    """Return inode, size and times of each file and folder of a tree, which an edit that is put back changes, too."""
    states: dict[str, tuple[int, ...]] = {}
    for path in [tree, *tree.rglob("*")]:
        state = path.lstat()
        states[str(path)] = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return states


def remove(tree: Path) -> None:
    """Delete a tree, whose folders are read-only; it may be missing, or something else."""
    delete(tree, ignore_errors=True)


def _is_intact(target: Path) -> bool:
    """Return whether a tree consists of the listed files with the listed digests; if so, settle modes and times."""
    try:
        expected = read_json(target / LISTING)
        found = {}
        for path in (target / TREE).rglob("*"):
            kind = stat.S_IFMT(path.lstat().st_mode)
            if kind != stat.S_IFDIR:
                name = path.relative_to(target / TREE).as_posix()
                found[name] = digest_bytes(path.read_bytes()) if kind == stat.S_IFREG else ""
        intact = bool(found) and found == expected and not (target / TREE).is_symlink()
        if intact:
            _settle(target / TREE)
    except (FileNotFoundError, NotADirectoryError, NotAPlainFile, PermissionError, ValueError):
        return False
    return intact


def _files(root: Path, name: str, digest: str) -> dict[str, bytes]:
    """Return the files of the tree for one file of the project: itself, and its byte code if it is a module.

    Raises:
        InputChanged: the file is missing, or has another digest.
    """
    path, actual = root / name, ""
    files: dict[str, bytes] = {}
    with contextlib.suppress(FileNotFoundError):
        content = path.read_bytes()
        if path.suffix == ".py":
            actual, files = _module(content, name)
        else:
            actual, files = digest_bytes(content), {name: content}
    if actual != digest:
        raise InputChanged(
            f"{name} was edited after this run decided what to do.",
            "Nothing was stored; run again. To edit freely during a long run, run from a separate clone.",
        )
    return files


@cache
def _module(content: bytes, name: str) -> tuple[str, dict[str, bytes]]:
    """Return the digest of a module, and its text and byte code by path; cached, because steps share modules."""
    path = Path(name)
    tree = parse(content, path)
    digest = digest_tree(tree, path)
    text = _unparse(tree, path)
    with tempfile.TemporaryDirectory(prefix="tapeout-") as folder:
        source, compiled = Path(folder, "module.py"), Path(folder, "module.pyc")
        source.write_bytes(text)
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # whoever uses the tree compares its digests
        shown = f"{INSIDE}/{name}"
        try:
            py_compile.compile(str(source), str(compiled), shown, doraise=True, optimize=0, invalidation_mode=mode)
        except py_compile.PyCompileError as error:
            raise InvalidRule(f"{name}: {error.exc_value}.", "Correct it.") from error
        code = compiled.read_bytes()
    cached = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
    return digest, {name: text, cached.as_posix(): code}


def _unparse(tree: ast.Module, name: Path) -> bytes:
    """Return the text of a module without docstrings; a body without a statement gets ``pass``.

    Raises:
        InvalidRule: the text would not mean the same.
    """
    complete(tree)
    try:
        text = (ast.unparse(tree) + "\n").encode()
        same = ast.dump(ast.parse(text)) == ast.dump(tree)
    except (SyntaxError, *UNUSABLE):
        text, same = b"", False
    if not same:
        raise InvalidRule(
            f"{name} cannot be written without its comments.", "Simplify its nested f-strings and long expressions."
        )
    return text


def complete(tree: ast.Module) -> None:
    """Put ``pass`` into bodies that have become empty without their docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.body:
            node.body = [ast.Pass(lineno=node.lineno, col_offset=0)]


@cache
def original_lines(content: bytes) -> dict[int, int]:
    """Return the line of a module for each line of its text in a tree; the first line of a statement for all of it."""
    before = parse(content, Path())
    complete(before)
    lines: dict[int, int] = {}
    for old, new in zip(ast.walk(before), ast.walk(ast.parse(ast.unparse(before))), strict=True):
        if hasattr(old, "lineno") and hasattr(new, "lineno"):
            lines.setdefault(new.lineno, old.lineno)
    return lines
