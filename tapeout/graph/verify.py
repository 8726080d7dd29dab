"""Checking that what is there is what it is said to be: results against manifests, the store against its own names."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.digest import digest_files
from tapeout.graph.manifest import Entry, Manifest, vouch
from tapeout.graph.workspace import Workspace

BATCH = 256
"""Files hashed between two words of progress."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    ``artifact`` is empty for an object of the store that no artifact in ``results/`` uses.
    """

    artifact: str
    path: str
    problem: str


def verify(
    workspace: Workspace,
    artifacts: list[str],
    deep: bool,
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> list[Finding]:
    """Look at artifacts, or at everything.

    Args:
        workspace: where things lie.
        artifacts: names; empty means every artifact in ``results/`` and every object and entry of the store.
        deep: read every byte; otherwise a file that carries its seal's time and size is believed.
        progress: told how many bytes have been read, of how many.

    Returns:
        What is wrong, in the order of the names. Damaged objects and entries of the store have been put aside.
    """
    names = artifacts or sorted(_realised(workspace))
    findings: list[Finding] = []
    sound: list[tuple[Path, Entry, str]] = []
    for name in names:
        manifest = workspace.manifest(name)
        if manifest is None:
            findings.append(Finding(name, "", "has no sound manifest"))
        elif not vouch(workspace.artifact_path(name), manifest):
            findings.append(Finding(name, "", "is not what its manifest says"))
        elif deep:
            sound += [(_file(workspace, manifest, entry), entry, name) for entry in manifest.entries]
    if deep:
        sound += [] if artifacts else list(_objects(workspace))
        findings += _read(workspace, sound, progress)
    return sorted(findings, key=lambda finding: (finding.artifact, finding.path))


def _realised(workspace: Workspace) -> Iterator[str]:
    for path in workspace.results.rglob("*.manifest.json"):
        yield path.relative_to(workspace.results).as_posix().removesuffix(".manifest.json")


def _file(workspace: Workspace, manifest: Manifest, entry: Entry) -> Path:
    root = workspace.artifact_path(manifest.artifact)
    return root / entry.path if entry.path else root


def _objects(workspace: Workspace) -> Iterator[tuple[Path, Entry, str]]:
    """Objects of the store by the digest in their names; entries are read, and put aside if damaged, on the way."""
    for _ in workspace.store.entries():
        pass
    for path in sorted((workspace.store.root / "objects").glob("*/*")):
        if not path.name.startswith("."):
            executable = path.name.endswith("x")
            yield path, Entry("", executable, path.stat().st_size, path.name.removesuffix("x")), ""


def _read(
    workspace: Workspace, files: list[tuple[Path, Entry, str]], progress: Callable[[int, int], None]
) -> Iterator[Finding]:
    """Hash each file once, also where several names lead to it."""
    by_inode: dict[tuple[int, int], list[tuple[Path, Entry, str]]] = {}
    for path, entry, name in files:
        info = path.stat()
        by_inode.setdefault((info.st_dev, info.st_ino), []).append((path, entry, name))
    groups = list(by_inode.values())
    total, done = sum(group[0][1].size for group in groups), 0
    for start in range(0, len(groups), BATCH):
        batch = groups[start : start + BATCH]
        digests = digest_files(group[0][0] for group in batch)
        for group, digest in zip(batch, digests, strict=True):
            if digest != group[0][1].digest:
                yield from _damaged(workspace, group)
        done += sum(group[0][1].size for group in batch)
        progress(done, total)


def _damaged(workspace: Workspace, group: list[tuple[Path, Entry, str]]) -> Iterator[Finding]:
    """Name every artifact that a damaged file belongs to, and put the store's name for it aside."""
    entry = group[0][1]
    workspace.store.quarantine(workspace.store.object_path(entry))
    named = [(path, name) for path, _, name in group if name]
    for path, name in named or [(group[0][0], "")]:
        yield Finding(name, str(path), f"is damaged: its digest is not {entry.digest[:16]}")
        if name:
            os.utime(path)  # without its seal's time it is read, and found out, by whoever looks at it next
