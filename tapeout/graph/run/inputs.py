"""Inputs of a step: read before its program starts, and watched until its result is sealed.

Every file that the program may read is hashed once in each run, by the first step that reads it. A later step of the
run trusts the result as long as the file's inode, size and times are the same. While the program runs, no input may be
written or replaced, and nothing may be added to a folder, whatever its content is at the end.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tapeout.graph.errors import InputChanged
from tapeout.graph.files import read_json, settle, write_atomically
from tapeout.graph.identity.action import ORDERING_PREFIX, Recipe
from tapeout.graph.identity.digest import canonical, digest_files
from tapeout.graph.identity.manifest import FOLDER_MODE, FOLDER_TIME_NS, Entry, Manifest, sealed_time_ns
from tapeout.graph.launch.inotify import Changes
from tapeout.graph.run.run_record import RUN
from tapeout.graph.store.store import object_mode
from tapeout.graph.workspace import Workspace

Times = tuple[int, int, int, int, int]
"""Inode, size, mode, modification time and change time of a file. The change time shows a file that was written and got
its modification time back; but it also changes with every new hard link, e.g. when another folder restores it."""
CHANGE_TIME = 4
FIX = "Nothing was stored; run again and it is restored or rebuilt."


@dataclass(frozen=True)
class InputFile:
    """A file of an input.

    Attributes:
        artifact: name of the artifact.
        entry: the file's entry in the manifest.
        path: its path in ``results/``.
    """

    artifact: str
    entry: Entry
    path: Path

    def times(self) -> Times:
        """Return inode, size, mode and times; other values than those of any file if it does not exist."""
        try:
            info = self.path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return 0, 0, 0, 0, 0
        return info.st_ino, info.st_size, stat.S_IMODE(info.st_mode), info.st_mtime_ns, info.st_ctime_ns


class Inputs:
    """Inputs of one step; a context manager that is active while the program runs.

    Args:
        workspace: folders of the run.
        recipe: the step.
        manifests: manifests of its inputs, by name, which their files match by size and time.

    Attributes:
        unread: files that no step of this run had read before.
    """

    def __init__(self, workspace: Workspace, recipe: Recipe, manifests: dict[str, Manifest]) -> None:
        self.workspace, self.consumer = workspace, recipe.artifact
        self.files, self.folders = _parts(workspace, recipe, manifests)
        self.times: dict[InputFile, Times] = {}
        self.unread: list[InputFile] = []

    def __enter__(self) -> Self:
        """Read the inputs, after giving them the modes and times that every program sees.

        Raises:
            InputChanged: one is damaged.
        """
        folders = [path for folder in self.folders for path in _contents(folder)[0]]
        self._settle(folders)
        self.times = {file: file.times() for file in self.files}
        self.folder_times = {path: _change_time(path) for path in folders}
        self.changes = Changes([file.path for file in self.files], folders, self.workspace.results)
        try:
            self.unread = self._unread()
            self._read(self.unread)
        except BaseException:
            self.changes.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.changes.close()

    def _settle(self, folders: list[Path]) -> None:
        """Undo what the user's umask, chmod or touch did to modes and times, which a program could read.

        Raises:
            InputChanged: an input is missing, or another user's who changed it.
        """
        wanted = {file.path: (object_mode(file.entry), sealed_time_ns(file.entry.digest)) for file in self.files}
        wanted |= dict.fromkeys(folders, (FOLDER_MODE, FOLDER_TIME_NS))
        for path, (mode, time) in wanted.items():
            try:
                settle(path, mode, time)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise InputChanged(f"{path}, an input of {self.consumer}, was deleted.", FIX) from error
            except PermissionError as error:
                names = {file.artifact for file in self.files}
                self.workspace.set_aside(next(name for name in names if self._is_in(path, name)))
                raise InputChanged(
                    f"{path}, an input of {self.consumer}, is another user's, and has another mode or time.", FIX
                ) from error

    def _is_in(self, path: Path, artifact: str) -> bool:
        return path.is_relative_to(self.workspace.artifact_path(artifact))

    def check(self) -> None:
        """Check that no input was written, replaced, touched, added or removed since the context was entered.

        Where not everything could be watched, a file with another change time counts as written, although it may only
        have got a new hard link.

        Raises:
            InputChanged: one was.
        """
        changed, linked = self.changes.paths(), []
        compared = CHANGE_TIME if self.changes.is_complete else CHANGE_TIME + 1
        for file, before in self.times.items():
            now = file.times()
            if file.path in changed or now[:compared] != before[:compared]:
                raise InputChanged(
                    f"File {file.path} of artifact {file.artifact} was written or replaced while the step "
                    f"{self.consumer} ran.",
                    FIX,
                )
            if now != before:
                linked.append(file)
        self._check_folders(changed)
        self._read(linked)

    def _check_folders(self, changed: set[Path]) -> None:
        """Check that folders have had the files of their manifests, and no others, all the time.

        Raises:
            InputChanged: they have not.
        """
        if not self.changes.is_complete:
            changed |= {path for path, before in self.folder_times.items() if _change_time(path) != before}
        known = {file.path for file in self.files}
        now = [_contents(folder) for folder in self.folders]
        changed |= {path for _, others in now for path in others} - known
        if not changed:  # a new name is said rather than that its folder has another time
            changed = {path for folders, _ in now for path in folders if not _is_settled(path)}
        if changed:
            raise InputChanged(
                f"{min(changed)}, in an input of {self.consumer}, was added, removed, replaced or touched while the "
                "step ran.",
                FIX,
            )

    def _read(self, files: list[InputFile]) -> None:
        """Hash files, and note those that are right.

        Raises:
            InputChanged: one is damaged. It has lost its sealed time, so that the next run notices the damage.
        """
        before = {file: file.times() for file in files}
        try:
            digests = digest_files(file.path for file in files)
        except FileNotFoundError as error:
            raise InputChanged(f"{error.filename}, an input of {self.consumer}, was deleted.", FIX) from error
        damaged = [file for file, digest in zip(files, digests, strict=True) if digest != file.entry.digest]
        for file in damaged:
            self._expose(file)
        if damaged:
            raise InputChanged(
                f"File {damaged[0].path} of artifact {damaged[0].artifact}, an input of {self.consumer}, is damaged: "
                f"its digest is not {damaged[0].entry.digest[:16]}.",
                FIX,
            )
        self._note({file: times for file, times in before.items() if file.times() == times})

    def _expose(self, file: InputFile) -> None:
        """Mark a file as damaged, and quarantine the store's object if it is the same file."""
        stored = self.workspace.store.object_path(file.entry)
        if stored.exists() and stored.samefile(file.path):
            self.workspace.store.quarantine(stored)
        try:
            os.utime(file.path)  # without its sealed time the file is read, and the damage found, by every check
        except PermissionError:  # another user's file
            self.workspace.set_aside(file.artifact)

    # -- files that were read in this run --------------------------------------------------------------------------

    def _unread(self) -> list[InputFile]:
        """Return the files that no step of this run has read, or that have changed since."""
        known = {name: self._noted(name) for name in {file.artifact for file in self.files}}
        return [file for file in self.files if known[file.artifact].get(file.entry.path) != [*self.times[file]]]

    def _note(self, files: dict[InputFile, Times]) -> None:
        """Note the times of files that were read; a note that cannot be written only costs reading them again."""
        for name in sorted({file.artifact for file in files}) if RUN in os.environ else ():
            own = {file.entry.path: [*times] for file, times in files.items() if file.artifact == name}
            value = {"run": os.environ[RUN], "files": self._noted(name) | own}
            with suppress(OSError):
                write_atomically(self.workspace.verified_path(name), canonical(value))

    def _noted(self, name: str) -> dict[str, list[int]]:
        """Return the times of an artifact's files when they were last read in this run."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            value = read_json(self.workspace.verified_path(name))
            if value["run"] == os.environ.get(RUN):
                return dict(value["files"])
        return {}


def _parts(workspace: Workspace, recipe: Recipe, manifests: dict[str, Manifest]) -> tuple[list[InputFile], list[Path]]:
    """Return files and folders that a program may read; ordering-only inputs are not passed to it."""
    files: dict[InputFile, None] = {}
    folders: dict[Path, None] = {}
    for name, value in sorted(recipe.inputs.items()):
        for reference in value if isinstance(value, list) else [value]:
            if name.startswith(ORDERING_PREFIX):
                continue
            root = workspace.artifact_path(reference.artifact)
            for entry in manifests[reference.artifact].entries:
                if entry.path != reference.path and (not reference.path or entry.path.startswith(f"{reference.path}/")):
                    folders[root / reference.path] = None
                elif entry.path != reference.path:
                    continue
                files[InputFile(reference.artifact, entry, root / entry.path if entry.path else root)] = None
    return list(files), list(folders)


def _contents(root: Path) -> tuple[list[Path], list[Path]]:
    """Return a folder and all folders below it, and everything else below it."""
    folders, files = [], []
    for folder, below, names in os.walk(root):
        folders.append(Path(folder))
        files += [Path(folder, name) for name in names]
        files += [Path(folder, name) for name in below if os.path.islink(os.path.join(folder, name))]
    return folders, files


def _is_settled(folder: Path) -> bool:
    """Return whether a folder has the mode and time that every program sees; True if it is gone."""
    with suppress(FileNotFoundError, NotADirectoryError):
        info = folder.lstat()
        return (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (FOLDER_MODE, FOLDER_TIME_NS)
    return True


def _change_time(path: Path) -> int:
    try:
        return path.lstat().st_ctime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0
