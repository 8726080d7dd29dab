"""Files of an export: a folder or a tar archive, in which ``SHA256SUMS`` lists every other file.

``sha256sum --check SHA256SUMS`` does the same as ``check`` without Tapeout, except that it ignores added files.
"""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeout.graph.files import read_file
from tapeout.graph.identity.digest import digest_file, digest_files
from tapeout.graph.identity.manifest import walk
from tapeout.guard import tar
from tapeout.guard.errors import UnusableModel
from tapeout.guard.names import MAX_MEMBERS, plain_name
from tapeout.provenance.errors import ExportRefused, InvalidExport

SUMS = "SHA256SUMS"
MAX_LISTED = 1 << 28
"""Bytes of a file that is read as a whole: lists, statements, and all others whose size no list states."""
MIN_SPARSE, MAX_SPARSE = 1 << 30, 1000
"""Bytes from which a file counts as sparse, and how many times more it then has than on disk; no compression of a file
system is so good."""


@contextmanager
def creating(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``target``, or its archive (``.tar``), if the block raises nothing.

    Raises:
        ExportRefused: ``target`` exists.
    """
    if target.exists() or target.is_symlink():
        raise ExportRefused(f"{target} exists.", "Remove it, or give another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        folder = scratch / "export"
        folder.mkdir(mode=0o755)
        yield folder
        if target.suffix == ".tar":
            pack(folder, scratch / "packed")
            (scratch / "packed").rename(target)
        else:
            folder.rename(target)
    finally:
        shutil.rmtree(scratch)


def pack(folder: Path, archive: Path) -> None:
    """Write all files of a folder into a tar archive, sorted and without owners and times."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
        for name, info in sorted(walk(folder)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = info.st_size, 0o755 if info.st_mode & 0o100 else 0o644
            with open(folder / name, "rb") as file:
                packed.addfile(member, file)


@contextmanager
def opened(export: Path) -> Iterator[Path]:
    """Yield the folder of an export; an archive is unpacked into a temporary one.

    Raises:
        InvalidExport: it is neither a folder nor a complete tar archive of plain files.
    """
    if export.is_dir():
        yield export
        return
    with tempfile.TemporaryDirectory(prefix="tapeout-export-") as scratch:
        unpack(export, Path(scratch))
        yield Path(scratch)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive of plain files into an empty folder, without writing outside it.

    Raises:
        InvalidExport: it is missing or truncated, or contains a link, a device, or a path outside the folder.
    """
    if archive.exists() and not archive.is_file():  # opening a pipe could wait forever
        raise InvalidExport(f"{archive} is neither a folder nor a regular file.", "Save the export as a file first.")
    try:
        tar.unpack(archive, folder)
    except (UnusableModel, OSError) as error:
        why = error.cause.rstrip(".") if isinstance(error, UnusableModel) else error
        raise InvalidExport(
            f"{archive} is neither a folder nor a complete tar archive of plain files: {why}.", "Get the export again."
        ) from error


def survey(folder: Path) -> dict[str, int]:
    """Return the size of every file by path, sorted, before any is read.

    Raises:
        NotAPlainFile: the folder contains a link or a device, or folders lie in each other too deeply.
        InvalidExport: there are too many files, a name is not a plain path, or a file is too large or almost empty.
    """
    if not os.path.lexists(folder / SUMS):
        raise InvalidExport(f"There is no readable {SUMS}.", "Give the folder of an export.")
    sizes: dict[str, int] = {}
    try:
        for name, status in walk(folder):
            sizes[plain_name(name, folder.name)] = status.st_size
            if len(sizes) > MAX_MEMBERS:
                raise InvalidExport(f"The export has more than {MAX_MEMBERS:,} files.", "Get the export again.")
            if status.st_size > MIN_SPARSE and status.st_blocks * 512 * MAX_SPARSE < status.st_size:
                raise InvalidExport(f"{name} is a sparse file of {status.st_size:,} bytes.", "Get the export again.")
            if "/" not in name and status.st_size > MAX_LISTED:
                raise InvalidExport(f"{name} has {status.st_size:,} bytes, too many.", "Get the export again.")
    except UnusableModel as error:
        raise InvalidExport(error.cause, "Get the export again.") from error
    return sizes


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file except ``SHA256SUMS``, by path, sorted.

    Raises:
        NotAPlainFile: the folder contains a link or a device.
    """
    names = sorted(name for name, _ in walk(folder) if name != SUMS)
    return dict(zip(names, digest_files(folder / name for name in names), strict=True))


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` for all files."""
    (folder / SUMS).write_text(_sums(digests(folder)), "utf-8")


def _sums(digests: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def check_one(folder: Path, name: str) -> None:
    """Compare one file with ``SHA256SUMS``; raise ``InvalidExport`` if it has other bytes than listed there."""
    listed = _listed(folder).get(name)
    if listed is not None:
        compare({name: listed}, {name: digest_file(folder / name)}, f"in {SUMS}")


def _listed(folder: Path) -> dict[str, str]:
    try:
        text = read_file(folder / SUMS).decode()
        return {name: digest for digest, name in (line.split("  ", 1) for line in text.splitlines())}
    except (OSError, ValueError) as error:
        raise InvalidExport(f"There is no readable {SUMS}.", "Give the folder of an export.") from error


def check(folder: Path) -> dict[str, str]:
    """Read every file, compare it with ``SHA256SUMS``, and return the digests by path.

    Raises:
        InvalidExport: there is no such list, or a file is missing, is not listed, or has other bytes.
    """
    listed, files = _listed(folder), digests(folder)
    compare(listed, files, f"in {SUMS}")
    if read_file(folder / SUMS).decode() != _sums(files):
        raise InvalidExport(f"{SUMS} contains more than the digests of the files.", "Get the export again.")
    return files


def compare(expected: dict[str, str], files: dict[str, str], where: str) -> None:
    """Raise ``InvalidExport`` for the first path at which two tables of digests differ."""
    for name in sorted(expected.keys() | files.keys()):
        if name not in files:
            raise InvalidExport(f"The file {name} is missing; it is {where}.", "Get the export again.")
        if name not in expected:
            raise InvalidExport(f"The file {name} is not {where}.", "Get the export again.")
        if expected[name] != files[name]:
            raise InvalidExport(
                f"The file {name} was altered: its SHA-256 is {files[name][:16]}..., not {expected[name][:16]}... as "
                f"{where}.",
                "Do not trust the export; get it again from its author.",
            )
