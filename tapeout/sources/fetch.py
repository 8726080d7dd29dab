"""From a record to a folder with the source's verified files."""

from pathlib import Path

from tapeout.config.sources import FileSource, HubSource, PypiSource, Source, UrlSource
from tapeout.sources import download, hub, pypi


def fetch_source(source: Source, output: Path, folder: Path, patience: download.Patience | None = None) -> None:
    """Make ``output``, a new folder that holds the source's files under their own names.

    Args:
        source: the record.
        output: the folder to make.
        folder: where downloads are kept, finished ones by content and unfinished ones to be resumed.
        patience: how long to retry.

    Raises:
        WrongHash, WrongSize, SourceMissing, AccessDenied, SourceUnreachable, TruncatedTransfer: as named.
    """
    output.mkdir()
    if isinstance(source, FileSource):
        path = Path(source.path)
        download.copy_verified(path, output / path.name, source.sha256)
        return
    for remote in remotes(source, folder, patience):
        download.fetch(remote, output / remote.name, folder, patience)


def remotes(
    source: PypiSource | HubSource | UrlSource, folder: Path, patience: download.Patience | None
) -> list[download.Remote]:
    """The files that make up a source; the index is not asked for an archive that was downloaded before."""
    if isinstance(source, PypiSource):
        if download.is_finished(folder, source.sha256):
            return [download.Remote("", source.file, source.sha256, source.size)]
        return [pypi.locate(source, patience)]
    if isinstance(source, HubSource):
        return hub.locate(source)
    return [download.Remote(source.url, source.file, source.sha256, source.size)]
