"""Limit of what the bodies of all requests together take in memory."""

from tapeout.serve.errors import RequestFailed

MAX_BODIES = 32 << 20
"""Bytes of all bodies together, without the beginning of each."""
BEGINNING = 64 * 1024
"""Bytes of a body that are not counted, so that long bodies never keep short ones out."""


class Bodies:
    """Bodies of the requests in progress.

    Attributes:
        free: bytes that further bodies may take.
    """

    def __init__(self) -> None:
        self.free = MAX_BODIES


class Reservation:
    """Part of the limit that one body takes, until ``release``."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies, self.size = bodies, 0

    def extend(self, length: int) -> None:
        """Reserve the memory of a body that has this length so far.

        Raises:
            RequestFailed: other bodies take it.
        """
        more = max(0, length - BEGINNING) - self.size
        if more > self.bodies.free:
            raise RequestFailed(
                "The bodies of other requests take the memory that there is for them.",
                "Try again later.",
                status=503,
                code="busy",
                headers={"Retry-After": "1"},
            )
        self.bodies.free -= max(0, more)
        self.size += max(0, more)

    def release(self) -> None:
        """Give the memory back."""
        self.bodies.free += self.size
        self.size = 0
