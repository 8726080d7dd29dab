"""Files of Hugging Face repositories at a commit, verified (F5).

huggingface_hub asks: one request tells of every file whether it is there, its size, and its SHA-256 (large files) or
git blob id (small ones), and the library reads the hub's refusals. The bytes come by the same verified, resumable
transfer as everywhere, because the library's own (0.36) compares sizes only, gives up where a transfer breaks off or
the hub says 429, takes nothing above 50 GB without another protocol, and looks into the user's cache.

The token, the only secret (F6), comes from the environment and never from a login that lies in somebody's home; a
redirect to another host does not carry it along.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import requests
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import hf_raise_for_status

from tapeout.config.sources import HubFile, HubSource
from tapeout.errors import TapeoutError
from tapeout.sources.download import Patience, Remote, Transient, check_status, reason_of, retrying
from tapeout.sources.errors import (
    GatedSource,
    InvalidToken,
    NotAsked,
    OtherCommit,
    RepositoryMissing,
    SourceMissing,
    SourceUnreachable,
    WrongHash,
    WrongSize,
)

REPOSITORY_TYPES = {"hf_model": "model", "hf_dataset": "dataset"}
COMMIT = "X-Repo-Commit"
T = TypeVar("T")


def token() -> str | None:
    """The token of the environment, if there is one."""
    return os.environ.get("HF_TOKEN", "").strip() or None


def endpoint() -> str | None:
    """Address of the hub, if the environment gives one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def client() -> HfApi:
    """The library's client; without a token in the environment it is told to use none, not to look for one."""
    return HfApi(endpoint=endpoint(), token=token() or False)


@contextmanager
def no_login_from_home() -> Iterator[None]:
    """Let nobody read ~/.netrc meanwhile: its logins would take the place of the token, or of none."""
    before = os.environ.get("NETRC")
    os.environ["NETRC"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["NETRC"]
        else:
            os.environ["NETRC"] = before


def locate(source: HubSource, folder: Path, patience: Patience | None = None) -> list[Remote]:
    """Where the record's files are and what they must be, in the record's order.

    The hub is not asked if all of them were downloaded before.

    Raises:
        GatedSource, InvalidToken, RepositoryMissing, SourceMissing, RateLimited, SourceUnreachable: as named.
        WrongHash, WrongSize: the hub itself announces another content than the pinned one.
    """
    known = [remote(source, file) for file in source.files if file.sha256 is not None]
    if len(known) == len(source.files) and all((folder / each.key).exists() for each in known):
        return known
    repository = source.repository
    try:
        found = asking(
            lambda: client().get_paths_info(
                repository,
                [file.path for file in source.files],
                revision=source.revision,
                repo_type=REPOSITORY_TYPES[source.kind],
            ),
            source.kind,
            repository,
            patience,
        )
    except NotAsked:
        if len(known) == len(source.files):
            return known  # a mirror that only serves files: SHA-256 that the record pins need nobody's word
        raise
    announced = {each.path: each for each in found if isinstance(each, RepoFile)}
    missing = next((file.path for file in source.files if file.path not in announced), None)
    if missing is not None:
        raise SourceMissing(f"The file {missing}", f" in {repository} at commit {source.revision}")
    return [agreed(source, file, announced[file.path]) for file in source.files]


def agreed(source: HubSource, file: HubFile, announced: RepoFile) -> Remote:
    """A file as the record and the hub agree on it; see ``locate`` for the errors."""
    sha256 = announced.lfs.sha256 if announced.lfs else None
    if file.sha256 is not None and sha256 is not None and sha256 != file.sha256:
        raise WrongHash(f"{file.path}, as the hub announces it,", file.sha256, sha256)
    if file.size is not None and announced.size != file.size:
        raise WrongSize(f"{file.path}, as the hub announces it,", file.size, announced.size)
    return remote(source, file, file.sha256 or sha256, announced.size, announced.blob_id)


def remote(
    source: HubSource, file: HubFile, sha256: str | None = None, size: int | None = None, blob: str | None = None
) -> Remote:
    """The file for the downloader, as far as it is known."""

    def check(response: requests.Response, what: str) -> None:
        refusal(response, source.kind, source.repository, what)
        sent = (response.history[0] if response.history else response).headers.get(COMMIT)
        if sent != source.revision and not (sent is None and file.sha256 is not None):
            raise OtherCommit(f"{file.path} of {source.repository}", source.revision, sent)

    kind = REPOSITORY_TYPES[source.kind]
    return Remote(
        url=hf_hub_url(source.repository, file.path, repo_type=kind, revision=source.revision, endpoint=endpoint()),
        name=file.path,
        sha256=file.sha256 or sha256,
        size=file.size or size,
        headers={"Authorization": f"Bearer {token()}"} if token() else {},
        git_blob=blob,
        check=check,
    )


def asking(question: Callable[[], T], kind: str, repository: str, patience: Patience | None = None) -> T:
    """Put a question to the hub's interface, with retries.

    Args:
        question: calls the library.
        kind: of the repository, ``hf_model`` or ``hf_dataset``.
        repository: whom it is about.
        patience: how long to retry.

    Raises:
        GatedSource, InvalidToken, RepositoryMissing, SourceMissing, RateLimited, SourceUnreachable: as named.
    """
    what = f"The Hugging Face hub (for {repository})"

    def ask() -> T:
        try:
            return question()
        except HfHubHTTPError as error:
            if type(error) is HfHubHTTPError and error.response.status_code in (404, 405, 501):
                raise NotAsked(what) from error
            raise named(error, kind, repository, repository) from error
        except OfflineModeIsEnabled as error:
            raise SourceUnreachable(what, "HF_HUB_OFFLINE forbids it") from error
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise SourceUnreachable(what, "HF_ENDPOINT must be an http or https address") from error
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError) as error:
            raise SourceUnreachable(what, "what answers does not speak the hub's language (HF_ENDPOINT?)") from error
        except requests.RequestException as error:
            raise Transient(reason_of(error)) from error

    try:
        return retrying(patience or Patience())(ask)
    except Transient as error:
        raise error.named(what) from error


def refusal(response: requests.Response, kind: str, repository: str, what: str) -> None:
    """Raise what a refusing answer of the hub means; ``Transient`` for what may pass."""
    try:
        hf_raise_for_status(response)
    except HfHubHTTPError as error:
        raise named(error, kind, repository, what) from error


def named(error: HfHubHTTPError, kind: str, repository: str, what: str) -> TapeoutError | Transient:
    """The library's error as one of ours."""
    status, own = error.response.status_code, token() is not None
    if isinstance(error, GatedRepoError) and (status == 403 or not own):
        prefix = "datasets/" if kind == "hf_dataset" else ""
        page = f"{endpoint() or 'https://huggingface.co'}/{prefix}{repository}"
        return GatedSource(repository, page, with_token=own)
    if status == 401 and own:
        return InvalidToken(repository)
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return RepositoryMissing(repository, with_token=own)
    if isinstance(error, RevisionNotFoundError):
        return SourceMissing("The pinned revision", f" in {repository}")
    if isinstance(error, EntryNotFoundError):
        return SourceMissing(f"The file {what}", f" in {repository}")
    try:
        check_status(error.response, what)
    except (TapeoutError, Transient) as ours:
        return ours
    raise AssertionError(f"status {status} is no refusal")
