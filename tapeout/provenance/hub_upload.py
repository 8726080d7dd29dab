"""Upload a folder to the Hugging Face Hub in one commit, and compare what is there with the folder.

A program of its own, because it needs the environment ``serve``: it reads a request from its standard input and writes
the outcome to its standard output, both JSON. The token comes from HF_TOKEN only.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from tapeout.errors import TapeoutError

FAILED = 3
"""Exit status with which the outcome is a named error: its cause and its fix."""
KEPT = 16 << 20
"""Size up to which a file is read once; a hub stores larger ones by their SHA-256."""
DENIED, FORBIDDEN, MISSING, CHANGED = 401, 403, 404, (409, 412)
AGAIN = "Run the same command again; files that the hub has already are not sent again."


class UploadFailed(TapeoutError):
    """The hub refused a request, did not answer, or has other files than were sent."""


@dataclass(frozen=True)
class Upload:
    """A folder and the branch to which it is uploaded.

    Attributes:
        api: client of the hub.
        folder: the folder.
        files: size and SHA-256 of each file, by its path.
        former: paths of the files of the publication that this one replaces.
        repository: ``owner/name``.
        branch: name of the branch.
        private: whether a new repository is private.
        message: first line of the commit's message.
    """

    api: HfApi
    folder: Path
    files: Mapping[str, tuple[int, str]]
    former: tuple[str, ...]
    repository: str
    branch: str
    private: bool
    message: str

    def run(self) -> dict[str, Any]:
        """Upload what the branch lacks, and verify its files.

        Returns:
            commit; whether files were uploaded; whether the repository was created; other files of the repository.

        Raises:
            UploadFailed: see its docstring; the message says what the branch has.
        """
        created = False
        with self.named_errors(None):
            try:
                head = self.head()
            except RepositoryNotFoundError:
                self.api.create_repo(self.repository, private=self.private, exist_ok=True)
                created, head = True, self.head()
        with self.named_errors(head):
            listed = self.listed(head)
            stale = [path for path in self.former if path in listed and path not in self.files]
            changed = [path for path in self.files if not self.is_same(path, listed.get(path))]
            commit = head
            if changed or stale:
                additions = [self.addition(path) for path in changed]
                deletions = [CommitOperationDelete(path) for path in stale]
                commit = self.api.create_commit(
                    self.repository,
                    [*additions, *deletions],
                    commit_message=self.message,
                    revision=self.branch,
                    parent_commit=head,
                ).oid
            self.verify(commit)
        others = sorted(listed.keys() - self.files.keys() - {*stale, ".gitattributes"})
        return {"commit": commit, "uploaded": changed, "deleted": stale, "created": created, "others": others}

    def head(self) -> str:
        """Return the commit of the branch, which is created if it does not exist."""
        try:
            sha = self.api.repo_info(self.repository, revision=self.branch).sha
        except RevisionNotFoundError:
            self.api.create_branch(self.repository, branch=self.branch, exist_ok=True)
            sha = self.api.repo_info(self.repository, revision=self.branch).sha
        return str(sha)

    def listed(self, commit: str) -> dict[str, RepoFile]:
        """Return the files of the repository at a commit."""
        tree = self.api.list_repo_tree(self.repository, recursive=True, revision=commit)
        return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

    def is_same(self, path: str, entry: RepoFile | None) -> bool:
        """Return whether a file of the repository is that of the folder, as far as a listing says."""
        size, digest = self.files[path]
        if entry is None or entry.size != size:
            return False
        if entry.lfs is not None:
            return bool(entry.lfs.sha256 == digest)
        content = (self.folder / path).read_bytes()
        return bool(entry.blob_id == hashlib.sha1(b"blob %d\0" % size + content, usedforsecurity=False).hexdigest())

    def addition(self, path: str) -> CommitOperationAdd:
        """Return a file as a part of the commit, after its bytes were compared with the artifact's.

        A small file is sent as it was compared; the hub compares a large one with the SHA-256 that it gets before.

        Raises:
            UploadFailed: the file was changed.
        """
        size, digest = self.files[path]
        file = self.folder / path
        added = CommitOperationAdd(path, file.read_bytes() if size <= KEPT else str(file))
        if added.upload_info.size != size or added.upload_info.sha256.hex() != digest:
            raise UploadFailed(
                f"The file {path} was changed after it was checked.", "Run: tapeout verify --deep --repair"
            )
        return added

    def verify(self, commit: str) -> None:
        """Compare the SHA-256 of every file at a commit: that of a large file is listed, others are downloaded.

        Raises:
            UploadFailed: a file is missing or differs.
        """
        listed = self.listed(commit)
        with tempfile.TemporaryDirectory() as scratch:
            for path, (_, digest) in self.files.items():
                entry = listed.get(path)
                if entry is None:
                    found = "is missing"
                elif entry.lfs is not None:
                    found = "" if entry.lfs.sha256 == digest else f"has the SHA-256 {entry.lfs.sha256}"
                else:
                    copy = self.api.hf_hub_download(self.repository, path, revision=commit, local_dir=scratch)
                    actual = hashlib.sha256(Path(copy).read_bytes()).hexdigest()
                    found = "" if actual == digest else f"has the SHA-256 {actual}"
                if found:
                    raise UploadFailed(
                        f"At commit {commit} of {self.repository} the file {path} {found}.",
                        "Do not use this commit; run the same command again.",
                    )

    @contextmanager
    def named_errors(self, head: str | None) -> Iterator[None]:
        """Turn errors of the client into named ones.

        Args:
            head: commit of the branch before the upload; None if nothing can have been uploaded yet.
        """
        try:
            yield
        except HfHubHTTPError as error:
            raise self.refused(error, head) from None
        except OfflineModeIsEnabled:
            raise UploadFailed("HF_HUB_OFFLINE forbids requests to the hub.", "Unset HF_HUB_OFFLINE.") from None
        except httpx2.HTTPError as error:
            raise self.interrupted(error, head) from None
        except RuntimeError as error:  # of a large file; the client wraps the error
            inner = error.__cause__ or error
            known = self.refused(inner, head) if isinstance(inner, HfHubHTTPError) else self.interrupted(inner, head)
            raise known from None
        except (ValueError, KeyError, TypeError) as error:
            cause = " ".join(str(error).split()).rstrip(".")
            raise UploadFailed(
                f"The hub refused the folder, or its answer is not that of a hub: {cause}.", self.state(head)
            ) from None

    def refused(self, error: HfHubHTTPError, head: str | None) -> UploadFailed:
        """Return the error for a status with which the hub refused a request."""
        status, name = error.response.status_code, self.repository
        said = " ".join((error.server_message or "").split()).rstrip(".")
        if status == DENIED:
            return UploadFailed(
                "The hub does not accept the token in HF_TOKEN.", "Create one that may write, and set HF_TOKEN to it."
            )
        if status == FORBIDDEN:
            fix = "Set HF_TOKEN to a token that may write there, or name a repository of your own."
            return UploadFailed(f"The token in HF_TOKEN may not write to {name}{said and f': {said}'}.", fix)
        if status == MISSING:
            return UploadFailed(
                f"The hub has no place for {name}{said and f': {said}'}.",
                "Correct the owner in --repo, or HF_ENDPOINT if that is not a hub.",
            )
        if status in CHANGED and head is not None:
            return UploadFailed(
                f"The branch {self.branch} of {name} was changed by somebody else during the upload.", self.state(head)
            )
        return UploadFailed(f"The hub refused the upload with status {status}{said and f': {said}'}.", self.state(head))

    def interrupted(self, error: BaseException, head: str | None) -> UploadFailed:
        """Return the error for a connection that failed."""
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        return UploadFailed(f"The connection to the hub failed: {reason}.", self.state(head))

    def state(self, head: str | None) -> str:
        """Return the fix of an error: what the branch has now, and to run again."""
        if head is None:
            return f"Nothing was uploaded. {AGAIN}"
        try:
            now = self.head()
        except (HfHubHTTPError, httpx2.HTTPError):
            return f"What the branch {self.branch} has now is not known; before the upload it was at {head}. {AGAIN}"
        if now == head:
            return f"The branch {self.branch} has none of this upload, it is still at {head}. {AGAIN}"
        return f"The branch {self.branch} is at {now} now; before the upload it was at {head}. {AGAIN}"


def main() -> None:
    """Carry out the request on the standard input."""
    request = json.load(sys.stdin)
    files = {entry["path"]: (entry["size"], entry["sha256"]) for entry in request.pop("files")}
    folder, former = Path(request.pop("folder")), tuple(request.pop("former"))
    api = HfApi(token=os.environ["HF_TOKEN"].strip())
    try:
        outcome = Upload(api=api, folder=folder, files=files, former=former, **request).run()
    except UploadFailed as error:
        print(json.dumps({"cause": error.cause, "fix": error.fix}))
        raise SystemExit(FAILED) from None
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
