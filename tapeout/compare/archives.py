"""Safe unpacking of archives, so that their members are compared like the files of an artifact."""

import errno
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tapeout.compare.file_comparison import Unreadable

SUFFIXES = (".nemo", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".whl", ".zip")
ZIP = b"PK\3\4"


def archive_suffix(name: str) -> str:
    """Return the archive suffix of a lower-case file name, or an empty string if it is not an archive."""
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def unpack(archive: Path, folder: Path, what: str) -> None:
    """Unpack into an existing empty folder; times, owners and the order of the members are ignored.

    Raises:
        Unreadable: it is damaged, or contains a link, a device, a repeated name or a path outside the folder.
    """
    try:
        if _first_bytes(archive) == ZIP:  # zipfile looks at the end, where a tar may contain a zip
            with zipfile.ZipFile(archive) as packed:
                _refuse_unsafe(what, [member.filename for member in packed.infolist()])
                packed.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                members = tar.getmembers()
                _refuse_unsafe(what, [member.name for member in members])
                if not all(member.isreg() or member.isdir() for member in members):
                    raise Unreadable(f"{what} contains a link or a device.", "Do not trust this file.")
                tar.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise Unreadable(f"{what} cannot be unpacked: {error}.", "Build or fetch it again.") from error


def _first_bytes(archive: Path) -> bytes:
    with open(archive, "rb") as file:
        return file.read(len(ZIP))


def _refuse_unsafe(what: str, names: list[str]) -> None:
    outside = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    reasons = {
        "contains a name that cannot be printed": not all(name.isprintable() for name in names),
        f"contains {outside[:1]}, a path outside it": bool(outside),
        "repeats a name": len({str(PurePosixPath(name)) for name in names}) != len(names),
    }
    for reason, applies in reasons.items():
        if applies:
            raise Unreadable(f"{what} {reason}.", "Do not trust this file.")
