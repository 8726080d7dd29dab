"""A checkpoint folder as one deterministic tar file.

NVIDIA's own ``.nemo`` files differ at every save (order of members, times, random names). Here the same tree gives the
same bytes: members are sorted, without times and owners, with fixed modes, and are regular files and folders only.
``tapeout.guard.tar.unpack`` reads them.
"""

import tarfile
from pathlib import Path

from tapeout.guard.errors import UnusableModel


def pack(folder: Path, archive: Path) -> None:
    """Write the tree under ``folder`` to ``archive``, an uncompressed tar whose bytes depend on the tree only.

    Raises:
        UnusableModel: the folder contains a link or another special file, or no file at all.
    """
    members = sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())
    special = [path.name for path in members if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if special or not any(path.is_file() for path in members):
        what = f"{special[0]} in {folder.name} is not a regular file" if special else f"{folder.name} contains no file"
        raise UnusableModel(f"{what}.", "Pack a checkpoint folder made of plain files only.")
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in members:
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                entry.mode, entry.size = 0o644, path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(entry, content)
