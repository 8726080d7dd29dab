"""Unpacking of archives, so that their members are compared like the files of an artifact."""

from pathlib import Path

from tapeout.compare.file_comparison import Unreadable
from tapeout.guard import tar, zip
from tapeout.guard.errors import UnusableModel

SUFFIXES = (".nemo", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".whl", ".zip")


def archive_suffix(name: str) -> str:
    """Return the archive suffix of a lower-case file name, or an empty string if it is not an archive."""
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def unpack(archive: Path, folder: Path, what: str) -> None:
    """Unpack into an existing empty folder; times, owners and the order of the members are ignored.

    Raises:
        Unreadable: it is damaged, or contains a link, a device, a repeated name or a path outside the folder.
    """
    with open(archive, "rb") as file:
        is_zip = file.read(len(zip.MAGIC)) == zip.MAGIC
    try:
        (zip.unzip if is_zip else tar.unpack)(archive, folder, what)
    except UnusableModel as error:
        raise Unreadable(error.cause, error.fix) from error
