"""Files of Hugging Face repositories at a commit, verified.

huggingface_hub asks the hub: one request returns for every file whether it exists, its size, and its SHA-256 (large
files) or git blob id (small ones), and the library interprets the hub's refusals. The bytes are transferred by
``tapeout.sources.download``, because the library's own transfer (0.36) compares sizes only, gives up when a transfer
breaks off or the hub answers 429, refuses files above 50 GB without another protocol, and reads the user's cache.

The token, the only secret, comes from the environment and never from a login in a home folder; a redirect to another
host does not carry it along.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
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
from huggingface_hub.utils import get_session, hf_raise_for_status

from tapeout.config.sources import RemoteFile, RetryPolicy
from tapeout.errors import TapeoutError
from tapeout.sources.download import Remote, Transient, check_status, reason_of, retried
from tapeout.sources.errors import AccessDenied, SourceMissing, SourceUnreachable, WrongContent

COMMIT = "X-Repo-Commit"
T = TypeVar("T")


@dataclass(frozen=True)
class Repository:
    """A repository of the hub at a revision.

    Attributes:
        type: ``model`` or ``dataset``.
        name: owner/name.
        revision: commit, branch or tag.
    """

    type: str
    name: str
    revision: str

    @property
    def page(self) -> str:
        """Address of its web page."""
        prefix = "datasets/" if self.type == "dataset" else ""
        return f"{endpoint() or 'https://huggingface.co'}/{prefix}{self.name}"


def token() -> str | None:
    """Return the token of the environment, if there is one."""
    return os.environ.get("HF_TOKEN", "").strip() or None


def endpoint() -> str | None:
    """Return the address of the hub, if the environment gives one."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def client() -> HfApi:
    """Return the library's client; without a token in the environment it uses none and does not look for one."""
    get_session().hooks["response"] = [_keep_method]
    return HfApi(endpoint=endpoint(), token=token() or False)


def _keep_method(response: requests.Response, **_: object) -> None:
    """Let a redirected POST remain one: requests turns it into GET for 301 and 302, as browsers do with forms."""
    if response.request.method == "POST":
        response.status_code = {301: 308, 302: 307}.get(response.status_code, response.status_code)


@contextmanager
def no_login_from_home() -> Iterator[None]:
    """Keep requests from reading ~/.netrc, whose logins would replace the token or be sent without one."""
    before = os.environ.get("NETRC")
    os.environ["NETRC"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["NETRC"]
        else:
            os.environ["NETRC"] = before


def locate(
    repository: Repository, files: Sequence[RemoteFile], folder: Path, policy: RetryPolicy | None = None
) -> list[Remote]:
    """Return where the files are and what they must be, in their order.

    The hub is not asked if all of them were downloaded before.

    Raises:
        AccessDenied, SourceMissing, SourceUnreachable: see their docstrings.
        WrongContent: the hub itself announces another content than the pinned one.
    """
    pinned = [_remote(repository, file) for file in files if file.sha256 is not None]
    if len(pinned) == len(files) and all((folder / remote.key).exists() for remote in pinned):
        return pinned
    try:
        answer = ask(
            lambda: client().get_paths_info(
                repository.name,
                [file.path for file in files],
                revision=repository.revision,
                repo_type=repository.type,
            ),
            repository,
            policy,
        )
    except SourceUnreachable as error:
        if error.files_only and len(pinned) == len(files):
            return pinned  # pinned SHA-256 need no confirmation
        raise
    announced = {entry.path: entry for entry in answer if isinstance(entry, RepoFile)}
    missing = next((file.path for file in files if file.path not in announced), None)
    if missing is not None:
        raise SourceMissing.of(f"The file {missing}", f" in {repository.name} at commit {repository.revision}")
    return [_agreed(repository, file, announced[file.path]) for file in files]


def ask(question: Callable[[], T], repository: Repository, policy: RetryPolicy | None = None) -> T:
    """Return the answer of the hub's interface, with retries.

    Raises:
        AccessDenied, SourceMissing, SourceUnreachable: see their docstrings.
    """
    name = f"The Hugging Face hub (for {repository.name})"

    def attempt() -> T:
        try:
            return question()
        except HfHubHTTPError as error:
            if type(error) is HfHubHTTPError and error.response.status_code in (404, 405, 501):
                raise SourceUnreachable.of_endpoint(name) from error
            raise _translated(error, repository, repository.name) from error
        except OfflineModeIsEnabled as error:
            raise SourceUnreachable.of(name, "HF_HUB_OFFLINE forbids it") from error
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise SourceUnreachable.of(name, "HF_ENDPOINT must be an http or https address") from error
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError) as error:
            raise SourceUnreachable.of(name, "HF_ENDPOINT did not return a Hub API response") from error
        except requests.exceptions.TooManyRedirects as error:
            raise SourceUnreachable.of_loop(name) from error
        except requests.RequestException as error:
            raise Transient(reason_of(error)) from error
        except ValueError as error:
            raise SourceUnreachable.of(name, "it is redirected to an address that is not valid") from error

    return retried(attempt, name, policy)


def last_own_response(response: requests.Response) -> requests.Response:
    """Return the last response of a chain of redirects that the hub itself sent; large files lie on other hosts.

    The hub is where the token may be sent: the same host, which may change from http to https.
    """
    chain = [*response.history, response]
    session = requests.Session()
    own = takewhile(
        lambda link: not session.should_strip_auth(chain[0].url, link.url),  # type: ignore[no-untyped-call]
        chain,
    )
    return list(own)[-1]


def _agreed(repository: Repository, file: RemoteFile, announced: RepoFile) -> Remote:
    """Return a file on which the record and the hub agree; see ``locate`` for the errors."""
    sha256 = announced.lfs.sha256 if announced.lfs else None
    if file.sha256 is not None and sha256 is not None and sha256 != file.sha256:
        raise WrongContent.of_hash(f"{file.path}, as the hub announces it,", file.sha256, sha256)
    if file.size is not None and announced.size != file.size:
        raise WrongContent.of_size(f"{file.path}, as the hub announces it,", file.size, announced.size)
    return _remote(repository, file, file.sha256 or sha256, announced.size, announced.blob_id)


def _remote(
    repository: Repository,
    file: RemoteFile,
    sha256: str | None = None,
    size: int | None = None,
    blob: str | None = None,
) -> Remote:
    """Return the file for the downloader, with what is known of it."""

    def check(response: requests.Response, name: str) -> None:
        try:
            hf_raise_for_status(response)
        except HfHubHTTPError as error:
            raise _translated(error, repository, name) from error
        check_status(response, name)
        sent = last_own_response(response).headers.get(COMMIT)
        if sent != repository.revision and not (sent is None and file.sha256 is not None):
            raise WrongContent.of_commit(f"{file.path} of {repository.name}", repository.revision, sent)

    return Remote(
        url=hf_hub_url(
            repository.name, file.path, repo_type=repository.type, revision=repository.revision, endpoint=endpoint()
        ),
        name=file.path,
        sha256=file.sha256 or sha256,
        size=file.size or size,
        headers={"Authorization": f"Bearer {token()}"} if token() else {},
        git_blob=blob,
        check=check,
    )


def _translated(error: HfHubHTTPError, repository: Repository, name: str) -> TapeoutError | Transient:
    """Return the error of this package for an error of the library."""
    status, with_token = error.response.status_code, token() is not None
    if isinstance(error, GatedRepoError) and (status == 403 or not with_token):
        return AccessDenied.of_gate(repository.name, repository.page, with_token)
    if status == 401 and with_token:
        return AccessDenied.of_token(repository.name)
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return SourceMissing.of_repository(repository.name, with_token)
    if isinstance(error, RevisionNotFoundError):
        return SourceMissing.of("The pinned revision", f" in {repository.name}")
    if isinstance(error, EntryNotFoundError):
        return SourceMissing.of(f"The file {name}", f" in {repository.name}")
    try:
        check_status(error.response, name)
    except (TapeoutError, Transient) as translated:
        return translated
    raise AssertionError(f"status {status} is not a refusal")
