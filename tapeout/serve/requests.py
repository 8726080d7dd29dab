"""Bodies of requests: the options of OpenAI's API that have an effect here.

An option that is not known is refused, and so is a value that would have no effect: a client must not believe that it
got what it asked for. Values that ask for nothing, such as ``n: 1``, are accepted.
"""

from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tapeout.config.serving import MAX_SEED, Sampling
from tapeout.serve.errors import RequestFailed
from tapeout.serve.prompts import Role

MAX_MESSAGES = 1000
"""Messages of a conversation; as objects, they take more memory than their text."""
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Zero = Annotated[float, Field(ge=0, le=0)]
Empty = Annotated[list[Any] | dict[str, Any], Field(max_length=0)]
Body = TypeVar("Body", bound=BaseModel)


class Strict(BaseModel):
    """An object without unknown fields, whose values have exactly the stated types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Strict):
    """Options of a streamed response."""

    include_usage: bool | None = None


class Text(Strict):
    """The form of an answer: text."""

    type: Literal["text"]


class ChatMessage(Strict):
    """A message of a conversation."""

    role: Role
    content: str


Messages = Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]


class Generation(Strict):
    """Options that conversations and completions share."""

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    presence_penalty: Zero | None = None
    frequency_penalty: Zero | None = None
    logit_bias: Empty | None = None

    @property
    def stops(self) -> list[str]:
        """Texts that end the answer."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def limit(self) -> int | None:
        """Maximum tokens of the answer that the request states."""
        return self.max_tokens

    @property
    def with_usage(self) -> bool:
        """True if a stream is to end with the counts of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampling(self, max_tokens: int) -> Sampling:
        """Return how tokens are chosen: greedily, unless the request states otherwise.

        Args:
            max_tokens: maximum of the server.

        Raises:
            RequestFailed: the request asks for more, or has options of a stream without one.
        """
        limit = self.limit or max_tokens
        if limit > max_tokens:
            raise RequestFailed(
                f"max_tokens is {limit:,}; this server generates at most {max_tokens:,} tokens.",
                "Ask for fewer, or start it with a larger --max-tokens.",
                param="max_tokens",
            )
        if self.stream_options is not None and not self.stream:
            raise RequestFailed("stream_options has no effect without stream.", param="stream_options")
        return Sampling(
            max_tokens=limit,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
        )


class ChatRequest(Generation):
    """Body of /v1/chat/completions."""

    messages: Messages
    template: str | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: Literal[False] | None = None
    tools: Empty | None = None
    tool_choice: Literal["none"] | None = None
    response_format: Text | None = None

    @property
    def limit(self) -> int | None:
        """Maximum tokens of the answer; OpenAI has two names for it, and the newer one counts."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(Generation):
    """Body of /v1/completions."""

    prompt: str
    echo: Literal[False] | None = None
    logprobs: None = None
    suffix: Annotated[str, StringConstraints(max_length=0)] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None


class TokenizeRequest(Strict):
    """Body of /tokenize: a text, or messages."""

    model: str | None = None
    prompt: str | None = None
    messages: Messages | None = None
    template: str | None = None


def parse(body: bytes, kind: type[Body]) -> Body:
    """Return the content of a body.

    Raises:
        RequestFailed: it is not JSON, or not such a request; the message names the first field that is wrong.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestFailed(f"The body is not JSON: {error}.", code="invalid_json") from error
    if not isinstance(content, dict):
        raise RequestFailed(f"The body is a JSON {type(content).__name__}, not an object.", code="invalid_json")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        parts = map(str, first["loc"])  # names of the members of a union are no part of the request
        field = ".".join(part for part in parts if part.isidentifier() or part.isdecimal())[:100]
        if first["type"] == "extra_forbidden":
            fix = "Leave it out: it would have no effect."
            raise RequestFailed(f"The field {field} is not known.", fix, param=field, code="unknown_field") from error
        raise RequestFailed(f"The field {field} is not accepted: {first['msg']}.", param=field) from error
