"""Verification of the installed environments that made the results: every byte against the listing of its installation.

They are found by the actions of the artifacts, so that no configuration is needed, and named runs count as well; the
environment of the commands, which digests and stores what the steps write, is one of them.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.errors import NotAPlainFile
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.environment import FOLDER, LOCKS, read_environment
from tapeout.graph.identity.installation import Mark, differences, is_byte_code, listed_files
from tapeout.graph.upkeep.verify import artifact_copies
from tapeout.graph.workspace import Workspace

COMMANDS = "workflow"
"""Name of the environment of the commands."""


@dataclass(frozen=True, order=True)
class EnvironmentFinding:
    """A file of an installed environment that is not as it was installed; otherwise as ``verify.Finding``."""

    environment: str
    path: str
    problem: str


def used_environments(workspace: Workspace, addresses: Iterable[str]) -> list[Path]:
    """Return the folders of the installed environments that made artifacts, sorted; of all artifacts by default.

    An environment of an earlier lock, or of another interpreter, is usually no longer installed, and then left out.
    """
    wanted = set(addresses)
    copies = [copy for copy in artifact_copies(workspace) if not wanted or copy.address in wanted]
    entries = [workspace.store.read_entry(copy.manifest.action) for copy in copies if copy.manifest is not None]
    made = [entry["action"]["environment"] for entry in entries if entry is not None]
    known = {(environment["name"], environment["digest"]) for environment in made}
    here = workspace.results.parent
    if not wanted and (here / LOCKS / f"{COMMANDS}.lock").is_file():
        known.add((COMMANDS, read_environment(COMMANDS, here).digest))
    folders = [here / FOLDER / f"{name}-{digest[:16]}" for name, digest in sorted(known)]
    return [folder for folder in folders if Mark.read(folder) is not None]


def verify_environments(
    folders: Iterable[Path], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[EnvironmentFinding]:
    """Read every byte of environments; return what is not as it was installed, sorted.

    A damaged file loses its time, so that every later comparison finds it without reading all files. Damaged byte code
    is deleted.

    Args:
        folders: the folders of the environments.
        progress: called with the bytes read so far and in total.
    """
    findings: list[EnvironmentFinding] = []
    files: dict[Path, tuple[Path, str, int, str]] = {}  # the environments share one standard library
    for folder in folders:
        found = {difference.path: difference.problem for difference in differences(folder)}
        findings += [_finding(folder, path, problem) for path, problem in found.items()]
        for path, (size, digest) in listed_files(folder).items():
            if path not in found:
                files[folder / path] = (folder, path, size, digest)
    total, done = sum(size for _, _, size, _ in files.values()), 0
    largest_first = sorted(files.values(), key=lambda file: -file[2])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(lambda file: _intact(file[0] / file[1], file[3]), largest_first)
        for (folder, path, size, _), intact in zip(largest_first, read, strict=True):
            done += size
            progress(done, total)
            if not intact:
                findings.append(_finding(folder, path, _damaged(folder, path)))
    return sorted(findings)


def _finding(folder: Path, path: str, problem: str) -> EnvironmentFinding:
    return EnvironmentFinding(folder.name.rpartition("-")[0], str(folder / path), problem)


def _intact(path: Path, digest: str) -> bool:
    """Return whether a file has the listed bytes; missing byte code is nothing to report."""
    try:
        return digest_file(path) == digest
    except FileNotFoundError:
        return is_byte_code(str(path))
    except (NotAPlainFile, OSError):
        return False


def _damaged(folder: Path, path: str) -> str:
    """Return the problem of a file whose bytes are not those that were listed."""
    file = folder / path
    with suppress(OSError):
        if is_byte_code(path):
            file.unlink(missing_ok=True)
            return "was damaged byte code, and was deleted"
        os.utime(file)
    return "is damaged: its bytes are not those that were installed"
