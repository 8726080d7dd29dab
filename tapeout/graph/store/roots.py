"""Which folders use a store: what lies in their results and named runs is wanted, whatever else is freed.

In the manner of Nix's garbage collector roots. ``roots/<id>/folder.json`` names a folder and the host that it was seen
from; ``roots/<id>/actions`` lists, one a line, the actions whose outputs were put there. A folder that can be seen is
asked itself, and the list is made anew. One that cannot be seen (its disk is not mounted, it lies on another host's own
disk, its owner lets nobody in) keeps everything on its list: only a person can tell that it is gone for good.
"""

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.errors import NotWritable
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.digest import canonical, digest_bytes, digest_value
from tapeout.graph.store.store import Store

HOST = Path(".graph") / "host"
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Root:
    """One folder that uses a store."""

    store: Store
    results: Path
    runs: Path
    host: str

    @classmethod
    def of(cls, store: Store, results: Path, runs: Path) -> "Root":
        """The root of a folder.

        Two hosts may have different folders under one name, and many hosts one folder; so the host that knew it first
        is part of its name, and is remembered in the folder itself.
        """
        results, runs = results.resolve(), runs.absolute()  # whether runs is a link to a disk is yet to be seen
        return cls(store, results, runs, _remembered_host(results) or platform.node())

    @property
    def place(self) -> Path:
        """Where the store remembers it."""
        return self.store.root / "roots" / digest_value([self.host, str(self.results)])[:32]

    @property
    def folder(self) -> Path:
        """The folder in the words of a person: the one that holds ``results/``."""
        return self.results.parent

    @property
    def visible(self) -> bool:
        """Whether the folder can be asked: it lies here, and is not another host's of the same name."""
        parts = [part for part in (self.results, self.runs) if os.path.lexists(part)]  # a link may lead to no disk now
        here = self.host in (platform.node(), _remembered_host(self.results))
        return here and os.access(self.folder, os.R_OK | os.X_OK) and all(_readable(part) for part in parts)

    def register(self) -> None:
        """Make the folder known to the store, with all that lies in it; does nothing if it is known."""
        if _remembered_host(self.results) is None:
            write_atomically(self.results / HOST, f"{self.host}\n".encode())
        if not (self.place / "folder.json").exists():
            self.add(self.present())
            value = {"results": str(self.results), "runs": str(self.runs), "host": self.host}
            with contextlib.suppress(NotWritable):
                self.store.write(self.place / "folder.json", canonical(value) + b"\n")

    def add(self, actions: Iterable[str]) -> None:
        """Lengthen the list; lines of processes side by side do not mix.

        A store that this user may only read is passed over: what came out of it stays here, whatever its owner frees.
        """
        with contextlib.suppress(NotWritable), self.store.open(self.place / "actions", "ab") as file:
            file.write(_lines(actions))

    def listed(self) -> set[str]:
        """The actions on the list; a line that a crash cut short is passed over."""
        with contextlib.suppress(FileNotFoundError):
            return {line for line in (self.place / "actions").read_text().split() if DIGEST.fullmatch(line)}
        return set()

    def present(self, without: Iterable[str] = ()) -> set[str]:
        """Actions of what lies in the folder, and of what its last plan asks for: a run may be about to restore it.

        Args:
            without: named runs that do not count.
        """
        found = set()
        for path in self.results.rglob("*.manifest.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                found.add(json.loads(path.read_bytes())["action"])
        for path in self.runs.glob("*/run.json"):
            if path.parent.name not in without:
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                    found |= set(json.loads(path.read_bytes())["artifacts"].values())
        for path in (self.results / ".graph").rglob("*.action.json"):
            with contextlib.suppress(OSError):
                found.add(digest_bytes(path.read_bytes().removesuffix(b"\n")))
        return found

    def wanted(self, without: Iterable[str] = ()) -> set[str]:
        """Actions whose outputs are to be kept; see ``present``."""
        return self.present(without) if self.visible else self.listed()

    def renew(self) -> None:
        """Make the list anew from what is seen; only while no run can lengthen it."""
        self.store.write(self.place / "actions", _lines(self.present()))


def _readable(part: Path) -> bool:
    """Whether all folders below a part of a root can be looked into."""

    def refuse(error: OSError) -> None:
        raise error

    try:
        for _ in os.walk(part, onerror=refuse):
            pass
    except FileNotFoundError:
        return part.exists()  # something was removed meanwhile, or the part itself is a link to nowhere
    except OSError:
        return False
    return True


def _remembered_host(results: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        return (results / HOST).read_text().strip()
    return None


def _lines(actions: Iterable[str]) -> bytes:
    return "".join(f"{action}\n" for action in sorted(actions)).encode()


def registered(store: Store) -> list[Root]:
    """All folders that are known to a store, by path."""
    found = []
    for path in (store.root / "roots").glob("*/folder.json"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            value = json.loads(path.read_bytes())
            found.append(Root(store, Path(value["results"]), Path(value["runs"]), value["host"]))
    return sorted(found, key=lambda root: (str(root.results), root.host))
