"""Artifacts of a few files, for tests."""

from pathlib import Path

from tapeout.compare.artifacts import Comparison, compare
from tapeout.config.comparison import Bounds
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.store import Store

Files = dict[str, bytes | str] | bytes | str


def place(root: Path, files: Files, name: str = "artifact") -> LocatedArtifact:
    """Write an artifact below ``root``: a folder with files by path, or one file."""
    target = root / name
    for path, content in files.items() if isinstance(files, dict) else [("", files)]:
        file = target / path if path else target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return LocatedArtifact(name, Manifest.of(target, name, ""), target, Store(root / "store"))


def compared(
    root: Path, old: Files, new: Files, bounds: Bounds | None = None, limit: int | None = 20, name: str = "artifact"
) -> Comparison:
    """Compare two artifacts of one name."""
    (root / "scratch").mkdir(parents=True, exist_ok=True)
    places = place(root / "old", old, name), place(root / "new", new, name)
    return compare(*places, bounds or Bounds(), root / "scratch", limit)
