"""What can go wrong with a source, each with its cause and fix."""

from tapeout.errors import TapeoutError


class WrongHash(TapeoutError):
    """The bytes are not the pinned ones; nothing of them is kept."""

    def __init__(
        self, what: str, expected: str, actual: str, kind: str = "SHA-256", by: str = "the record of the source pins"
    ) -> None:
        super().__init__(
            f"{what} has {kind} {actual}, but {by} {expected}.",
            "Find out why the content changed; correct sha256 in the sources file only if you trust the new content.",
        )
        self.expected = expected
        self.actual = actual


class WrongSize(TapeoutError):
    """More bytes than the pinned number; nothing of them is kept."""

    def __init__(self, what: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{what} has {actual:,} bytes, but the record of the source says {expected:,}.",
            "Find out why the content changed; correct size and sha256 in the sources file only if you trust it.",
        )


class SourceUnreachable(TapeoutError):
    """The network, the host or the service does not answer as it should, after all retries."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} cannot be reached: {reason}.",
            "Check the network and the proxy, then run again (a partial download is resumed), or put the file itself "
            "into the folder TAPEOUT_DOWNLOADS under its SHA-256 as name.",
        )


class SourceMissing(TapeoutError):
    """The place answers, but has no such file."""

    def __init__(self, what: str, known: str = "") -> None:
        super().__init__(
            f"{what} does not exist{known}.", "Correct the record in the sources file: names must be exact."
        )


class AccessDenied(TapeoutError):
    """The place answers 401 or 403."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(
            f"Access to {what} is denied (status {status}).",
            "Accept the terms of the source if it is gated, and give a valid token in the environment (HF_TOKEN for "
            "Hugging Face, user and password in PIP_INDEX_URL for a private index).",
        )


class TruncatedTransfer(TapeoutError):
    """The transfer ends too early, again and again; what arrived is kept and resumed by the next run."""

    def __init__(self, what: str, got: int, expected: int | None) -> None:
        of = f" of {expected:,}" if expected is not None else ""
        super().__init__(
            f"The transfer of {what} broke off at {got:,}{of} bytes on every try.",
            "Run again on a steadier connection: the download resumes where it stopped.",
        )


class RateLimited(TapeoutError):
    """The server answers 429, longer or more often than we wait."""

    def __init__(self, what: str, wait: float | None) -> None:
        asked = "" if wait is None else f" and asks to wait {wait:,.0f} s"
        super().__init__(
            f"The server limits requests for {what} (status 429){asked}.",
            "Wait as long and run again: a partial download is resumed. With a token in HF_TOKEN the Hugging Face hub "
            "allows more.",
        )


class GatedSource(TapeoutError):
    """A repository of the hub is open only to those who accepted its terms, and we do not count among them."""

    def __init__(self, repository: str, page: str, with_token: bool) -> None:
        if with_token:
            super().__init__(
                f"{repository} is gated, and the account of the token in HF_TOKEN has no access to it (status 403).",
                f"Accept the licence with that account at {page} and wait until it is granted; a fine-grained token "
                "also needs the permission to read gated repositories.",
            )
        else:
            super().__init__(
                f"{repository} is gated, and there is no token in HF_TOKEN (status 401).",
                f"Accept the licence at {page}, make a token that may read, and set HF_TOKEN in the environment.",
            )


class InvalidToken(TapeoutError):
    """The hub does not know the token."""

    def __init__(self, repository: str) -> None:
        super().__init__(
            f"The hub refuses the token in HF_TOKEN for {repository} (status 401).",
            "It is mistyped, expired or withdrawn: make a new one, or unset HF_TOKEN if the repository is public.",
        )


class RepositoryMissing(TapeoutError):
    """There is no such repository, or it is private: the hub does not tell which."""

    def __init__(self, repository: str, with_token: bool) -> None:
        token = "The token in HF_TOKEN does not reach it" if with_token else "No token is set in HF_TOKEN"
        super().__init__(
            f"The hub has no {repository}, or it is private. {token}.",
            "Correct kind and repository in the sources file; for a private repository set the token of an account "
            "that may read it.",
        )


class OtherCommit(TapeoutError):
    """The server sends another commit than the pinned one, or does not say which."""

    def __init__(self, what: str, pinned: str, sent: str | None) -> None:
        super().__init__(
            f"{what} is pinned to commit {pinned}, and the server sends {sent or 'files without saying of which'}.",
            "Ask a server that keeps commits (HF_ENDPOINT), or pin the SHA-256 of every file in the sources file.",
        )


class NotAsked(TapeoutError):
    """What answers serves files, and no questions about repositories."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} answers no questions about repositories: HF_ENDPOINT names a mirror of files alone.",
            "Give the SHA-256 of every file in the sources file, or name another endpoint.",
        )
