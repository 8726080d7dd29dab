"""Files that a command writes into a folder that the user names: all of them or none, and never among results."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tapeout.cli.options import InvalidUse
from tapeout.graph.errors import InvalidFolder
from tapeout.graph.files import report_disk_errors, temporary_path, written_file
from tapeout.graph.workspace import Workspace


def check_folder(workspace: Workspace, folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder into which files cannot be written; a command calls this before its work.

    Raises:
        InvalidUse: the folder is one of the build, or in an artifact of any project, which the files would alter.
        InvalidFolder: the path, or a file's, is taken by something else.
    """
    with report_disk_errors():
        real = folder.resolve()
        for own in (workspace.results, workspace.runs, workspace.work, workspace.store.root):
            if real.is_relative_to(own.resolve()):
                raise InvalidUse(f"{folder} is in {own}, which only the build writes.", "Name a folder outside of it.")
        for part in (real, *real.parents):
            if Path(f"{part}.manifest.json").is_file():
                raise InvalidUse(f"{folder} is in the artifact {part}.", "Name a folder outside of it.")
        for part in (folder, *folder.parents):
            if os.path.lexists(part) and not part.is_dir():
                raise InvalidFolder(f"{part} is not a folder.", "Name a folder, or one that does not exist yet.")
        for file in (folder / name for name in names):
            if os.path.lexists(file) and not file.is_file():
                raise InvalidFolder(f"{file} is not a regular file.", "Move it away, or name another folder.")


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files under their names; if one cannot be written, the folder has the files that it had before.

    Raises:
        OSError: the disk or its permissions refuse it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = {name: temporary_path(folder / name) for name in files}
    try:
        for name, content in files.items():
            with written_file(folder / name), open(temporary[name], "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for name, path in temporary.items():
            path.replace(folder / name)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
