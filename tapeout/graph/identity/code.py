"""Code identity: digests of a program and of every project module that it imports, directly or indirectly.

A module's digest is computed from its syntax tree without docstrings, so that comments, docstrings and formatting never
cost a training run, while a changed helper reruns exactly the steps that import it. Data files in the folder of an
imported package (templates, word lists) count byte for byte. Third-party code is covered by the environment's lock.
A program runs from a tree with these files alone (``code_tree``), so that what is not found here cannot be imported.
"""

import ast
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.digest import digest_bytes, digest_file

UNUSABLE = (ValueError, RecursionError, MemoryError)
"""Errors of Python's parser and printer: a null byte, an endless number, half a character, a very deep expression."""


def closure(script: Path, root: Path, plugins: Sequence[str] = ()) -> dict[str, str]:
    """Return the digest of each file of a program's code, by path relative to ``root``, sorted.

    Raises:
        InvalidRule: a file is not Python, or a plugin is not a module below ``root``.
    """
    root = root.resolve()
    digests: dict[str, str] = {}
    waiting = [script.resolve()]
    for plugin in plugins:
        path = root.joinpath(*plugin.split("."))
        named = all(part.isidentifier() for part in plugin.split("."))
        if not (named and (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file())):
            raise InvalidRule(f"There is no module {plugin} below {root}.", "Correct its name in the config.")
        waiting += sorted(_files(plugin, root))
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if not path.is_relative_to(root):
            raise InvalidRule(f"{path} is not in the project's folder.", "Copy it there; a link may change unnoticed.")
        digests[path.relative_to(root).as_posix()], imported = _read(path, root, path.stat().st_mtime_ns)
        if path.name == "__init__.py" or _is_namespace(path.parent, root):
            for data in _data_files(path.parent):
                digests[data.relative_to(root).as_posix()] = digest_file(data)
        waiting.extend(imported)
    return dict(sorted(digests.items()))


def definitions(path: Path) -> dict[str, str]:
    """Return the digest of each function and class by qualified name, and of the rest of the module by an empty name.

    ``tapeout why`` uses it to show which definitions of a module changed.
    """
    tree = parse(path.read_bytes(), path)
    digests: dict[str, str] = {}

    def visit(body: list[ast.stmt], prefix: str) -> list[ast.stmt]:
        rest = []
        for node in body:
            if isinstance(node, ast.ClassDef):
                node.body = visit(node.body, f"{prefix}{node.name}.")
                digests[prefix + node.name] = digest_tree(node, path)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                digests[prefix + node.name] = digest_tree(node, path)
            else:
                rest.append(node)
        return rest

    tree.body = visit(tree.body, "")
    return {"": digest_tree(tree, path), **dict(sorted(digests.items()))}


@cache
def _read(path: Path, root: Path, mtime_ns: int) -> tuple[str, tuple[Path, ...]]:
    """Return the digest of a module and the project files that it imports; cached for this process."""
    tree = parse(path.read_bytes(), path.relative_to(root))
    return digest_tree(tree, path.relative_to(root)), tuple(sorted(_imports(tree, path, root)))


def parse(content: bytes, name: Path) -> ast.Module:
    """Return the syntax tree of a module without docstrings.

    Raises:
        InvalidRule: it is not Python.
    """
    try:
        tree = ast.parse(content, filename=str(name))
    except SyntaxError as error:
        raise InvalidRule(f"{name}, line {error.lineno}: {error.msg}.", "Correct it.") from error
    except UNUSABLE as error:
        raise _unusable(name, error) from error
    _strip_docstrings(tree)
    return tree


def digest_tree(tree: ast.AST, name: Path) -> str:
    """Return the digest of a module, or of a part of it, given its syntax tree without docstrings.

    Raises:
        InvalidRule: the tree has no text, for example because of a number with more digits than Python prints.
    """
    try:
        return digest_bytes(ast.dump(tree).encode())
    except UNUSABLE as error:
        raise _unusable(name, error) from error


def _unusable(name: Path, error: Exception) -> InvalidRule:
    reason = str(error).removesuffix(".") or "it is nested too deeply"
    return InvalidRule(f"{name}: {reason}.", "Simplify what Python cannot read or write there.")


def _data_files(package: Path) -> list[Path]:
    """Return the data files of a package, including those in subfolders without ``__init__.py``; skip backup files.

    Raises:
        InvalidRule: a name is not printable, or no UTF-8, so that no action and no log can contain it.
    """
    files = []
    with os.scandir(package) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith((".", "__pycache__")) or entry.name.endswith("~"):
            continue
        path = package / entry.name
        if not entry.name.isprintable():
            cause = f"{str(path)!r}, beside a module, has a character in its name that is not printable."
            raise InvalidRule(cause, "Rename or remove it: the files of a package are part of its code.")
        if entry.is_dir() and not (path / "__init__.py").exists():
            files += _data_files(path)
        elif entry.is_file() and path.suffix != ".py":
            files.append(path)
    return files


def _is_namespace(folder: Path, root: Path) -> bool:
    """Return whether a folder of modules is a package without ``__init__.py``; its data files count all the same."""
    return folder != root and not (folder / "__init__.py").exists()


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield a module and the statements in it: no expression imports, or has a docstring, and most nodes are in one."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting.extend(getattr(node, inner, ()))


def _strip_docstrings(tree: ast.Module) -> None:
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # a bare string has no effect anywhere in a body; this removes docstrings of fields, too
            node.body = [child for child in node.body if not _is_bare_string(child)]


def _is_bare_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(tree: ast.Module, path: Path, root: Path) -> set[Path]:
    files: set[Path] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                files |= _files(alias.name, root)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path, root)
            files |= _files(module, root)
            for alias in node.names:
                files |= _files(f"{module}.{alias.name}", root)
    return files


def _absolute(node: ast.ImportFrom, path: Path, root: Path) -> str:
    if not node.level:
        return node.module or ""
    package = path.relative_to(root).parent.parts
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _files(module: str, root: Path) -> set[Path]:
    """Return the project files that importing ``module`` executes: its parent packages and the module itself."""
    files = set()
    path, is_package = str(root), False
    for part in module.split("."):
        path = f"{path}/{part}"
        is_package = os.path.isfile(f"{path}/__init__.py")  # noqa: PTH113  # thousands of times, so not with Path
        if is_package:
            files.add(Path(path, "__init__.py"))
    if not is_package and os.path.isfile(f"{path}.py"):  # noqa: PTH113
        files.add(Path(f"{path}.py"))
    return files
