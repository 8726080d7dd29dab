"""Garbage collector roots: the folders that use a store, whose results and named runs the collector keeps.

Modelled on the roots of Nix. ``roots/<id>/folder.json`` records a folder and the host that uses it;
``roots/<id>/actions`` lists, one per line, the actions whose outputs were put there. The collector reads a visible
folder and rewrites its list. For a folder that is not visible (its disk is not mounted, it is on another host's local
disk, its permissions forbid it) it keeps everything on the list: only a person can know that the folder is gone for
good.
"""

import contextlib
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.disk_space import OUT_OF_SPACE
from tapeout.graph.errors import NotAPlainFile, NotWritable, UnreadableState
from tapeout.graph.files import read_file, read_json, write_atomically
from tapeout.graph.identity.digest import canonical, digest_bytes, digest_value
from tapeout.graph.store.store import Store

HOST = Path(".graph") / "host"
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Root:
    """A folder that uses a store.

    Attributes:
        store: the store.
        results: absolute path of the folder's ``results/``.
        runs: absolute path of its named runs.
        host: the host that used it first.
    """

    store: Store
    results: Path
    runs: Path
    host: str

    @classmethod
    def of(cls, store: Store, results: Path, runs: Path) -> "Root":
        """Return the root of a folder.

        Two hosts may have different folders at the same path, and many hosts may share one folder. Therefore the host
        that used it first is part of the root's id, and is recorded in the folder.
        """
        results, runs = results.resolve(), runs.absolute()  # runs may be a link to a disk that is not mounted now
        return cls(store, results, runs, _recorded_host(results) or platform.node())

    @property
    def record(self) -> Path:
        """Folder of this root in the store."""
        return self.store.root / "roots" / digest_value([self.host, str(self.results)])[:32]

    @property
    def folder(self) -> Path:
        """The parent folder of ``results/``."""
        return self.results.parent

    @property
    def visible(self) -> bool:
        """True if the folder can be read here, and is not another host's folder of the same path."""
        parts = [part for part in (self.results, self.runs) if os.path.lexists(part)]  # also a broken link
        here = self.host in (platform.node(), _recorded_host(self.results))
        return here and os.access(self.folder, os.R_OK | os.X_OK) and all(_readable(part) for part in parts)

    @property
    def is_used(self) -> bool:
        """True if results were stored in the folder; a record in the store may name any folder."""
        return _recorded_host(self.results) is not None

    def register(self) -> None:
        """Record the folder, and everything in it, in the store, unless that was done before."""
        if _recorded_host(self.results) is None:
            write_atomically(self.results / HOST, f"{self.host}\n".encode())
        if not (self.record / "folder.json").exists():
            self.add(self.present())
            value = {"results": str(self.results), "runs": str(self.runs), "host": self.host}
            with contextlib.suppress(NotWritable):
                self.store.write(self.record / "folder.json", canonical(value) + b"\n")

    def add(self, actions: Iterable[str]) -> None:
        """Append to the list of actions; safe in concurrent processes.

        Nothing is recorded in a store that this user may only read: what was restored from it stays in the folder even
        if the owner deletes it from the store.
        """
        with contextlib.suppress(NotWritable), self.store.open(self.record / "actions", "ab") as file:
            file.write(_lines(actions))

    def listed(self) -> set[str]:
        """Return the actions on the list; a line that a crash cut short is ignored."""
        with contextlib.suppress(FileNotFoundError):
            return {
                line
                for line in read_file(self.record / "actions").decode("utf-8", "replace").split()
                if DIGEST.fullmatch(line)
            }
        return set()

    def present(self, without: Iterable[str] = ()) -> set[str]:
        """Return the actions of everything in the folder and in its last plan, which a run may be about to restore.

        A damaged manifest or named run hides actions; then all actions on the list are returned, too.

        Args:
            without: names of runs to ignore.
        """
        actions: set[str] = set()
        named = [path for path in self.runs.glob("*/run.json") if path.parent.name not in without]
        for path in (*self.results.rglob("*.manifest.json"), *named):
            try:
                value = read_json(path)
                actions |= set(value["artifacts"].values()) if path in named else {value["action"]}
            except FileNotFoundError:
                continue  # removed meanwhile
            except (ValueError, KeyError, TypeError, AttributeError, OSError, NotAPlainFile):
                actions |= self.listed()
        for path in (self.results / ".graph").rglob("*.action.json"):
            with contextlib.suppress(OSError, NotAPlainFile):
                actions.add(digest_bytes(read_file(path).removesuffix(b"\n")))
        return actions

    def wanted(self, without: Iterable[str] = ()) -> set[str]:
        """Return the actions whose outputs the collector must keep; see ``present``."""
        return self.present(without) if self.visible else self.listed()

    def rewrite_list(self) -> None:
        """Rewrite the list; call it only while no run can append to it.

        On a full disk, where the collection is to free space, the old list remains; it names at least as much.
        """
        try:
            self.store.write(self.record / "actions", _lines(self.present()))
        except OSError as error:
            if error.errno not in OUT_OF_SPACE:
                raise


def _readable(part: Path) -> bool:
    """Return whether all folders below a part of a root can be read."""

    def refuse(error: OSError) -> None:
        raise error

    try:
        for _ in os.walk(part, onerror=refuse):
            pass
    except FileNotFoundError:
        return part.exists()  # a file was removed meanwhile, or the part itself is a broken link
    except OSError:
        return False
    return True


def _recorded_host(results: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        return read_file(results / HOST).decode("utf-8", "replace").strip()
    return None


def _lines(actions: Iterable[str]) -> bytes:
    return "".join(f"{action}\n" for action in sorted(actions)).encode()


def registered(store: Store) -> list[Root]:
    """Return all roots of a store, sorted by path.

    Raises:
        UnreadableState: the record of one is damaged.
    """
    result = []
    for path in sorted((store.root / "roots").glob("*/folder.json")):
        try:
            value = read_json(path)
            result.append(Root(store, Path(value["results"]), Path(value["runs"]), value["host"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableState(
                f"{path}, which names a folder whose artifacts must be kept, is damaged.",
                f"Delete it and run Snakemake in that folder, which writes it again; or delete {path.parent}.",
            ) from error
    return sorted(result, key=lambda root: (str(root.results), root.host))
