"""What can go wrong with a source, each with its cause and cure."""

from tapeout.errors import TapeoutError


class WrongHash(TapeoutError):
    """The bytes are not the pinned ones; nothing of them is kept."""

    def __init__(self, what: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{what} has SHA-256 {actual}, but the record of the source pins {expected}.",
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
