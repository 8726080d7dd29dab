"""Common part of the two kinds of Hugging Face repositories."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from tapeout.config.sources import Record, RemoteFile, RetryPolicy


class HubSource(Record):
    """Files of a Hugging Face repository at one commit. A token comes from HF_TOKEN in the environment only.

    Attributes:
        repository_type: the hub's name of the kind of repository.
        title: the same, in capitals and spaces as messages show it.
        prefix: what precedes the name of the repository in its address.
    """

    repository_type: ClassVar[str]
    title: ClassVar[str]
    prefix: ClassVar[str]

    repository: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$", description="owner/name.")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="Full commit; branches and tags move.")
    files: tuple[RemoteFile, ...] = Field(min_length=1, description="Files to fetch.")

    @field_validator("files")
    @classmethod
    def _distinct(cls, files: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
        if len({file.path for file in files}) < len(files):
            raise ValueError("a file is named twice")
        return files

    @property
    def origin(self) -> str:
        """Repository and commit."""
        return f"Hugging Face {self.title} {self.repository} at commit {self.revision}"

    def address(self, file: str) -> str:
        """Return the address of a file at the commit."""
        return f"https://huggingface.co/{self.prefix}{self.repository}/resolve/{self.revision}/{file}"

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The files."""
        return self.files

    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Write the files.

        Raises:
            AccessDenied: the repository is gated, or the token is invalid.
            SourceMissing: there is no such repository, commit or file.
            SourceUnreachable: the hub does not answer, or limits requests for longer than the policy allows.
            WrongContent: a file is not the pinned one, or of another commit.
        """
        from tapeout.sources import download, hub

        repository = hub.Repository(self.repository_type, self.repository, self.revision)
        with hub.no_login_from_home():
            for remote in hub.locate(repository, self.files, downloads, retry):
                download.fetch(remote, output / remote.name, downloads, retry)
