"""An export as files: a folder, or one tar archive, in which ``SHA256SUMS`` lists every other file.

``sha256sum --check SHA256SUMS`` says the same as ``check`` here, without Tapeout; but for files that nobody listed.
"""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.graph.identity.digest import digest_files
from tapeout.graph.identity.manifest import walk
from tapeout.provenance.document import plain

SUMS = "SHA256SUMS"
END_OF_ARCHIVE = 2 * tarfile.BLOCKSIZE


class NotAnExport(TapeoutError):
    """What was given is no export, or only a part of one."""


class AlteredExport(TapeoutError):
    """A file of the export is not what it was when the export was made."""


class OutputExists(TapeoutError):
    """Something lies where the output is to be written."""


@contextmanager
def creating(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``target`` when the block ends well: as it is, or as an archive (``.tar``).

    Raises:
        OutputExists: something lies at ``target``.
    """
    if target.exists() or target.is_symlink():
        raise OutputExists(f"There is something at {target}.", "Remove it, or give another name.")
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
    """Write all files of a folder into a tar archive: sorted, and without owners and times."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, info in sorted(walk(folder)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = info.st_size, 0o755 if info.st_mode & 0o100 else 0o644
            with open(folder / name, "rb") as file:
                tar.addfile(member, file)


@contextmanager
def opened(export: Path) -> Iterator[Path]:
    """The folder of an export; that of an archive is a temporary one.

    Raises:
        NotAnExport: neither a folder nor a whole tar archive of plain files.
    """
    if export.is_dir():
        yield export
        return
    with tempfile.TemporaryDirectory(prefix="tapeout-export-") as scratch:
        unpack(export, Path(scratch))
        yield Path(scratch)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive of plain files into an empty folder; nothing is ever written outside it.

    Raises:
        NotAnExport: it is missing, broken off, or holds a link, a device, or a name that leaves the folder.
    """
    try:
        with tarfile.open(archive, "r:") as tar:
            if not _ends(archive):
                raise ValueError("it is broken off")
            for member in tar:
                if member.isdir():  # packed by another program; those that are needed are made below
                    continue
                target = folder / plain(member.name.removeprefix("./"))
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or target.exists():
                    raise ValueError(f"{member.name!r} is no plain file, or is there twice")
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise NotAnExport(
            f"{archive} is no folder and no whole tar archive of plain files: {error}.", "Get the export again."
        ) from error


def _ends(archive: Path) -> bool:
    """Whether an archive has its end, two blocks of zeros; the library is content without."""
    with open(archive, "rb") as file:
        file.seek(-min(END_OF_ARCHIVE, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return not any(file.read())


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but ``SHA256SUMS``, by path, sorted.

    Raises:
        NotAPlainFile: a link or a device lies there.
    """
    names = sorted(name for name, _ in walk(folder) if name != SUMS)
    return dict(zip(names, digest_files(folder / name for name in names), strict=True))


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` over all files."""
    (folder / SUMS).write_text(_sums(digests(folder)))


def _sums(digests: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def check(folder: Path) -> dict[str, str]:
    """Read every file and compare it with ``SHA256SUMS``; returns the digests by path.

    Raises:
        NotAnExport: there is no such list.
        AlteredExport: naming the first file that is missing, is not listed, or has other bytes.
    """
    try:
        text = (folder / SUMS).read_text()
        listed = {name: digest for digest, name in (line.split("  ", 1) for line in text.splitlines())}
    except (OSError, ValueError) as error:
        raise NotAnExport(f"There is no list {SUMS} that can be read.", "Give the folder of an export.") from error
    found = digests(folder)
    compare(listed, found, f"in {SUMS}")
    if text != _sums(found):
        raise AlteredExport(f"{SUMS} holds more than the digests of the files.", "Get the export again.")
    return found


def compare(expected: dict[str, str], found: dict[str, str], where: str) -> None:
    """Raises ``AlteredExport`` for the first path at which two tables of digests differ."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise AlteredExport(f"The file {name} is missing; it is {where}.", "Get the export again.")
        if name not in expected:
            raise AlteredExport(f"The file {name} is not {where}.", "Get the export again.")
        if expected[name] != found[name]:
            raise AlteredExport(
                f"The file {name} was altered: its SHA-256 is {found[name][:16]}..., not {expected[name][:16]}... as "
                f"{where}.",
                "Trust nothing in it; get the export again from where it was made.",
            )
