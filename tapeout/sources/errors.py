"""User-facing errors of sources."""

from typing import Self

from tapeout.errors import TapeoutError


class WrongContent(TapeoutError):
    """The content is not the pinned one, or cannot be pinned; nothing of it is kept."""

    @classmethod
    def of_hash(
        cls, name: str, expected: str, actual: str, kind: str = "SHA-256", by: str = "the record of the source pins"
    ) -> Self:
        """Return the error for a digest that differs from the pinned one."""
        return cls(
            f"{name} has {kind} {actual}, but {by} {expected}.",
            "Find out why the content changed; correct sha256 in the sources file only if you trust the new content.",
        )

    @classmethod
    def of_name(cls, name: str) -> Self:
        """Return the error for a file name that no result can have, such as one with a line end or a no-break space."""
        return cls(f"The file name {name!a} has a character that cannot be printed.", "Rename or exclude it.")

    @classmethod
    def of_size(cls, name: str, expected: int, actual: int) -> Self:
        """Return the error for a number of bytes that differs from the pinned one."""
        return cls(
            f"{name} has {actual:,} bytes, but the record of the source says {expected:,}.",
            "Find out why the content changed; correct size and sha256 in the sources file only if you trust it.",
        )

    @classmethod
    def of_commit(cls, name: str, pinned: str, sent: str | None) -> Self:
        """Return the error for a server that sends another commit than the pinned one, or does not name it."""
        return cls(
            f"{name} is pinned to commit {pinned}, and the server sends {sent or 'files without naming their commit'}.",
            "Use a server that keeps commits (HF_ENDPOINT), or pin the SHA-256 of every file in the sources file.",
        )


class SourceMissing(TapeoutError):
    """The server or the file system answers, but has no such file, repository or revision."""

    @classmethod
    def of(cls, name: str, where: str = "") -> Self:
        """Return the error for something that a record names.

        Args:
            name: what is missing.
            where: rest of the sentence: the package or repository, and the names that exist there.
        """
        return cls(f"{name} does not exist{where}.", "Correct the record in the sources file: names must be exact.")

    @classmethod
    def of_repository(cls, repository: str, with_token: bool) -> Self:
        """Return the error for a missing or private repository: the hub does not reveal which."""
        token = "The token in HF_TOKEN does not reach it" if with_token else "No token is set in HF_TOKEN"
        return cls(
            f"The hub has no {repository}, or it is private. {token}.",
            "Correct kind and repository in the sources file; for a private repository set the token of an account "
            "that may read it.",
        )


class AccessDenied(TapeoutError):
    """A login, a licence or a permission is missing."""

    @classmethod
    def of_status(cls, name: str, status: int) -> Self:
        """Return the error for any server."""
        return cls(
            f"Access to {name} is denied (status {status}).",
            "Accept the terms of the source if it is gated, and give a valid token in the environment (HF_TOKEN for "
            "Hugging Face, user and password in PIP_INDEX_URL for a private index).",
        )

    @classmethod
    def of_gate(cls, repository: str, page: str, with_token: bool) -> Self:
        """Return the error for a repository of the hub whose licence must be accepted at ``page``."""
        if with_token:
            return cls(
                f"{repository} is gated, and the account of the token in HF_TOKEN has no access to it (status 403).",
                f"Accept the licence with that account at {page} and wait until access is granted; a fine-grained "
                "token also needs the permission to read gated repositories.",
            )
        return cls(
            f"{repository} is gated, and there is no token in HF_TOKEN (status 401).",
            f"Accept the licence at {page}, create a token with read permission, and set HF_TOKEN in the environment.",
        )

    @classmethod
    def of_token(cls, repository: str) -> Self:
        """Return the error for a token that the hub does not know."""
        return cls(
            f"The hub refuses the token in HF_TOKEN for {repository} (status 401).",
            "It is mistyped, expired or withdrawn: create a new one, or unset HF_TOKEN if the repository is public.",
        )


class SourceUnreachable(TapeoutError):
    """The network, the host or the service does not answer as it should, after all attempts.

    Attributes:
        files_only: whether the server serves files but has no Hub API.
    """

    files_only = False

    @classmethod
    def of(cls, name: str, reason: str) -> Self:
        """Return the error for a failure with a short reason."""
        return cls(
            f"{name} cannot be reached: {reason}.",
            "Check the network and the proxy, then run again (a partial download is resumed), or put the file itself "
            "into the folder TAPEOUT_DOWNLOADS under its SHA-256 as name.",
        )

    @classmethod
    def of_loop(cls, name: str) -> Self:
        """Return the error for redirects that do not end."""
        return cls(
            f"{name} cannot be reached: the server redirects it in a circle, or too often.",
            "Open the address in a browser: the repository or file may have moved; correct the record, HF_ENDPOINT or "
            "the package index.",
        )

    @classmethod
    def of_cut(cls, name: str, received: int, expected: int | None) -> Self:
        """Return the error for a transfer that breaks off in every attempt; what arrived is kept and resumed."""
        of = f" of {expected:,}" if expected is not None else ""
        return cls(
            f"The transfer of {name} broke off at {received:,}{of} bytes in every attempt.",
            "Run again on a steadier connection: the download resumes where it stopped.",
        )

    @classmethod
    def of_limit(cls, name: str, wait: float | None) -> Self:
        """Return the error for status 429, longer or more often than the retry policy allows."""
        asked = "" if wait is None else f" and asks to wait {wait:,.0f} s"
        return cls(
            f"The server limits requests for {name} (status 429){asked}.",
            "Wait that long and run again: a partial download is resumed. With a token in HF_TOKEN the Hugging Face "
            "hub allows more.",
        )

    @classmethod
    def of_endpoint(cls, name: str) -> Self:
        """Return the error for a mirror that only serves files."""
        error = cls(
            f"{name} has no Hub API: HF_ENDPOINT names a mirror that only serves files.",
            "Give the SHA-256 of every file in the sources file, or name another endpoint.",
        )
        error.files_only = True
        return error
