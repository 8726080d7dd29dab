"""One archive (wheel or source archive) of a Python package, taken as data: never installed, never built.

``pip download`` would run a source archive's build to read its metadata; the index itself gives the address.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from tapeout.config.sources import Record, RemoteFile, RetryPolicy, Sha256, Size, relative_name


class Source(Record):
    """Archive of a Python package in an index."""

    kind: Literal["pypi"]
    package: str = Field(min_length=1, description="Name of the package in the index.")
    version: str = Field(min_length=1, description="Version, as a remark; the file name decides.")
    file: str = Field(min_length=1, description="Exact file name in the index.")
    sha256: Sha256 = Field(description="SHA-256 of the archive.")
    size: Size | None = Field(default=None, description="Bytes; detects a wrong file before it is hashed.")

    _plain_name = field_validator("file")(relative_name)

    @property
    def origin(self) -> str:
        """Package, version and file."""
        return f"package {self.package} {self.version}, file {self.file}"

    def address(self, file: str) -> str:
        """Return the package URL (purl)."""
        return f"pkg:pypi/{self.package.lower().replace('_', '-')}@{self.version}?file_name={file}"

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The archive."""
        return (RemoteFile(path=self.file, sha256=self.sha256, size=self.size),)

    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Write the archive; the index is not asked for one that was downloaded before.

        Raises:
            SourceMissing: the index has no such package or file; the message names similar files.
            WrongContent: the archive, or the hash that the index announces, is not the pinned one.
            SourceUnreachable: the index (PIP_INDEX_URL, or the client's default) does not answer.
            AccessDenied: the index requires a login.
        """
        from tapeout.sources import download

        remote = download.Remote("", self.file, self.sha256, self.size)
        if not download.restored(remote, output / self.file, downloads):
            remote = download.retried(lambda: self._locate(), f"The package index (for {self.package})", retry)
            download.fetch(remote, output / self.file, downloads, retry)

    def _locate(self) -> Any:
        """Ask the index once where the archive is."""
        import requests
        from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedRepoVersionError

        from tapeout.sources.download import Remote, Transient, check_status, reason_of
        from tapeout.sources.errors import SourceMissing, SourceUnreachable, WrongContent

        endpoint = os.environ.get("PIP_INDEX_URL")
        try:
            with PyPISimple(endpoint) if endpoint else PyPISimple() as client:
                page = client.get_project_page(self.package, timeout=60)
        except NoSuchProjectError as error:
            raise SourceMissing.of(f"The package {self.package}", " in the index") from error
        except requests.HTTPError as error:
            if error.response is not None:
                check_status(error.response, f"the package index (for {self.package})")
            raise
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            reason = "PIP_INDEX_URL must be an http or https address"
            raise SourceUnreachable.of("The package index", reason) from error
        except requests.exceptions.TooManyRedirects as error:
            raise SourceUnreachable.of_loop("The package index") from error
        except requests.RequestException as error:
            raise Transient(reason_of(error)) from error
        except (ValueError, UnsupportedRepoVersionError) as error:
            reason = "PIP_INDEX_URL did not return the page of a package index"
            raise SourceUnreachable.of("The package index", reason) from error
        archive = next((package for package in page.packages if package.filename == self.file), None)
        if archive is None:
            same = sorted(package.filename for package in page.packages if package.version == self.version)
            known = f"; it has {', '.join(same[:4])} of version {self.version}" if same else ""
            raise SourceMissing.of(f"The file {self.file} of package {self.package}", f" in the index{known}")
        announced = archive.digests.get("sha256")
        if announced is not None and announced != self.sha256:
            raise WrongContent.of_hash(f"{self.file}, as the index announces it,", self.sha256, announced)
        return Remote(archive.url, self.file, self.sha256, self.size)
