"""Token ids of prompts: messages through a chat template, or plain text."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from jinja2 import TemplateError

from tapeout.data.encode.chat import EXPRESSION_ERRORS
from tapeout.serve.errors import RequestFailed
from tapeout.serve.model import Model

Message = dict[str, str]
Role = Literal["system", "user", "assistant", "tool"]
"""Roles of messages; a template refuses those that its training did not have."""
QUESTION: list[Message] = [{"role": "user", "content": "a"}]
TURNS: list[Message] = [*QUESTION, {"role": "assistant", "content": "b"}, *QUESTION]


class Prompts:
    """Prompts of a model.

    No text of a user becomes a control token: a message with the name of one is refused, as the chat templates of
    exports do, and plain text is encoded as in training, where such a name is text.

    Attributes:
        turns: True if the model accepts conversations of several turns.
        system: True if it accepts a system message.
        templates: names of its chat templates; empty if there is only one.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        added = model.tokenizer.added_tokens_decoder
        self.control = {token for token, piece in added.items() if piece.special}
        self.control |= {*model.encoder.control_pieces.values(), *model.tokenizer.all_special_ids}
        self.names = sorted(
            {*model.encoder.reserved_names, *(added[token].content for token in self.control & added.keys())}
        )
        self.max_piece = max(len(model.encoder.id_to_bytes(token)) for token in range(model.encoder.size))
        template = model.tokenizer.chat_template
        self.templates = sorted(template) if isinstance(template, dict) else []
        self.turns = self._accepts(TURNS)
        self.system = self._accepts([{"role": "system", "content": "a"}, *QUESTION])

    @property
    def kind(self) -> str:
        """Sentence for users on the questions that the model answers."""
        turns = "conversations" if self.turns else "single questions, each without the ones before"
        return f"answers {turns}{', with a system message' if self.system else ''}"

    def chat(self, messages: Sequence[Message], template: str | None = None) -> list[int]:
        """Return the ids of a conversation that the model is to continue.

        Args:
            messages: messages with ``role`` and ``content``.
            template: name of one of the chat templates; by default, the first one that was trained.

        Raises:
            RequestFailed: the template does not render these messages, or a message has the name of a control token.
        """
        for message in messages:
            _check_parts(message)
        if template is not None and template not in self.templates:
            known = ", ".join(self.templates)
            fix = f"Name one of {known}." if known else "Leave it out: the model has one template."
            raise RequestFailed(f"There is no chat template {template!r}.", fix, param="template")
        self._check_length(*(message["content"] for message in messages))
        ids = self._render(messages, template)
        for name in self.names:
            if any(name in message["content"] for message in messages):
                raise RequestFailed(
                    f"A message contains {name}, which the tokenizer or the prompt reserves.", param="messages"
                )
        plain = [{**message, "content": "a" if message["content"].strip() else ""} for message in messages]
        if self._controls(ids) != self._controls(self._render(plain, template)):
            raise RequestFailed("A message would become a control token of the tokenizer.", param="messages")
        return ids

    def text(self, prompt: str) -> list[int]:
        """Return the ids of a text that the model is to continue.

        Raises:
            RequestFailed: there is no token.
        """
        self._check_length(prompt)
        ids = [*self.model.encoder.bos_ids, *self.model.encoder.encode(prompt)]
        if not ids:
            raise RequestFailed("The prompt has no token.", "Give some text.", param="prompt")
        return ids

    def _check_length(self, *texts: str) -> None:
        """Refuse texts that are no Unicode, or cannot fit, whatever their tokens are, before they are encoded."""
        try:
            size = sum(len(text.encode()) for text in texts)
        except UnicodeEncodeError:
            raise RequestFailed("The message is not UTF-8 text.", "Convert it.") from None
        if size > self.model.context * self.max_piece:
            raise RequestFailed(
                f"The prompt has {size:,} bytes; it cannot fit into the {self.model.context:,} tokens of the model.",
                "Shorten it.",
                code="context_length_exceeded",
            )

    def _render(self, messages: Sequence[Message], template: str | None) -> list[int]:
        tokenizer = self.model.tokenizer
        try:
            text = tokenizer.apply_chat_template(
                list(messages), chat_template=template, tokenize=False, add_generation_prompt=True
            )
        except (TemplateError, *EXPRESSION_ERRORS) as error:
            raise RequestFailed(_sentence(error), param="messages") from error
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _controls(self, ids: Sequence[int]) -> list[int]:
        return [token for token in ids if token in self.control]

    def _accepts(self, messages: Sequence[Message]) -> bool:
        try:
            self._render(messages, None)
        except RequestFailed:
            return False
        return True


def _check_parts(message: Message) -> None:
    """Refuse a message with other parts than a known role and a text: a template may render whatever it has."""
    if message.keys() != {"role", "content"} or not all(isinstance(part, str) for part in message.values()):
        raise RequestFailed("A message has other parts than role and content, two texts.", param="messages")
    if message["role"] not in get_args(Role):
        known = ", ".join(get_args(Role))
        raise RequestFailed("The role of a message is not known.", f"Use one of {known}.", param="messages")


def _sentence(error: Exception) -> str:
    """Return the message of a template's error as a sentence."""
    text: Any = str(error).strip() or type(error).__name__
    return f"{text.rstrip('.')}."
