"""Requests that cannot be answered, as errors with a status of HTTP, and their form in OpenAI's API."""

from typing import Any

from tapeout.errors import TapeoutError

KINDS = {404: "not_found_error", 500: "server_error", 503: "server_error"}
"""OpenAI's ``type`` of an error by its status; that of all others is ``invalid_request_error``."""


class RequestFailed(TapeoutError):
    """A request that is refused or cannot be answered.

    Attributes:
        status: status of HTTP.
        param: the part of the request that is wrong; None if it is not one part.
        code: short name of the reason, for programs.
        headers: headers of the response.
    """

    def __init__(
        self,
        cause: str,
        fix: str = "",
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(cause, fix)
        self.status, self.param, self.code, self.headers = status, param, code, headers or {}

    @property
    def message(self) -> str:
        """The two sentences as one text."""
        return f"{self.cause} {self.fix}".strip()

    def value(self) -> dict[str, Any]:
        """Return the content of the response."""
        kind = KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
