"""From a record to a folder with the source's verified files."""

from contextlib import nullcontext
from pathlib import Path

from tapeout.config.folder import listing, tree_digest
from tapeout.config.sources import FileSource, FolderSource, HubSource, PypiSource, Source, UrlSource
from tapeout.progress import report
from tapeout.sources import download, hub, pypi
from tapeout.sources.errors import WrongHash


def fetch_source(source: Source, output: Path, folder: Path, patience: download.Patience | None = None) -> None:
    """Make ``output``, a new folder that holds the source's files under their own names.

    Args:
        source: the record.
        output: the folder to make.
        folder: where downloads are kept, finished ones by content and unfinished ones to be resumed.
        patience: how long to retry.

    Raises:
        WrongHash, WrongSize, SourceMissing, AccessDenied, RateLimited, SourceUnreachable, TruncatedTransfer: as named.
        GatedSource, InvalidToken, RepositoryMissing, OtherCommit: of the Hugging Face hub, as named.
        UnusableFolder: a local folder is missing, or holds what cannot be taken.
    """
    output.mkdir()
    if isinstance(source, FileSource):
        path = Path(source.path)
        download.copy_verified(path, output / path.name, source.sha256)
        return
    if isinstance(source, FolderSource):
        copy_folder(source, output)
        return
    with hub.no_login_from_home() if isinstance(source, HubSource) else nullcontext():
        for remote in remotes(source, folder, patience):
            download.fetch(remote, output / remote.name, folder, patience)


def copy_folder(source: FolderSource, output: Path) -> None:
    """Copy a local folder's files, and check the copies.

    Raises:
        UnusableFolder: see ``listing``.
        WrongHash: the copies are not what is pinned.
    """
    digests, files = {}, listing(source)
    for done, (name, path) in enumerate(files.items(), start=1):
        digests[name] = download.copy_verified(path, output / name, None)
        if done % 1000 == 0 or done == len(files):
            report(done, len(files))
    actual = tree_digest(digests)
    if source.sha256 is not None and actual != source.sha256:
        raise WrongHash(f"The folder {source.path}", source.sha256, actual)


def remotes(
    source: PypiSource | HubSource | UrlSource, folder: Path, patience: download.Patience | None
) -> list[download.Remote]:
    """The files that make up a source; the index is not asked for an archive that was downloaded before."""
    if isinstance(source, PypiSource):
        known = download.Remote("", source.file, source.sha256, source.size)
        return [known] if download.is_finished(folder, known) else [pypi.locate(source, patience)]
    if isinstance(source, HubSource):
        return hub.locate(source, folder, patience)
    return [download.Remote(source.url, source.file, source.sha256, source.size)]
