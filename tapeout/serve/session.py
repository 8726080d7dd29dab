"""Answers of a model: token ids and text, piece by piece."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from tapeout.config.serving import Sampling
from tapeout.retrieval.passages import Passage
from tapeout.serve.errors import RequestFailed
from tapeout.serve.generation import generate
from tapeout.serve.model import Model
from tapeout.serve.prompts import Message, Prompts
from tapeout.serve.text_stream import TextStream


class Answer:
    """An answer in progress: iterate over it to get its text in pieces.

    Attributes:
        prompt: ids of the prompt.
        ids: ids of the answer so far, with the token that ended it.
        finish: why it ended: ``stop`` at an end of the model or of the request, ``length`` at the maximum or at the end
            of the context; None if it has not ended, or was cancelled.
    """

    def __init__(
        self,
        model: Model,
        prompt: Sequence[int],
        sampling: Sampling,
        stops: Sequence[str] = (),
        continues: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare an answer; nothing is computed before the first piece.

        Args:
            model: the model.
            prompt: ids of the prompt.
            sampling: how tokens are chosen.
            stops: further texts that end the answer, besides those of the model.
            continues: the answer continues a text, see ``TextStream``.
            cancelled: asked before each token; the answer ends when it returns True.

        Raises:
            RequestFailed: the prompt fills the context.
        """
        if len(prompt) >= model.context:
            raise RequestFailed(
                f"The prompt has {len(prompt):,} tokens, and the model has a context of {model.context:,}.",
                "Shorten it.",
                code="context_length_exceeded",
            )
        self.model, self.prompt, self.sampling = model, list(prompt), sampling
        self.stream = TextStream(model.encoder, [*model.stops, *stops], continues)
        self.cancelled = cancelled
        self.ids: list[int] = []
        self.finish: Literal["stop", "length"] | None = None

    def __iter__(self) -> Iterator[str]:
        """Yield pieces of the text; none is empty."""
        model, limit = self.model, min(self.sampling.max_tokens, self.model.context - len(self.prompt))
        for token in generate(
            model.network, self.prompt, model.encoder.size, model.ends, limit, self.sampling, self.cancelled
        ):
            self.ids.append(token)
            if token in model.ends:
                self.finish = "stop"
                break
            if text := self.stream.push(token):
                yield text
            if self.stream.stopped:
                self.finish = "stop"
                return
        else:
            self.finish = "length" if len(self.ids) == limit else None
        if text := self.stream.end():
            yield text
        if self.stream.stopped:
            self.finish = "stop"


class Question(NamedTuple):
    """Text of a message as the prompt has it, and the passages in it."""

    text: str
    passages: tuple[Passage, ...] = ()


class Conversation:
    """A conversation with a model, of which only the messages are kept.

    Attributes:
        question: turns the text of a user into the text of the prompt, for example with passages that were found.
        messages: all messages so far.
        passages: those in the last message.
    """

    def __init__(
        self, model: Model, system: str | None, template: str | None, question: Callable[[str], Question] = Question
    ) -> None:
        self.model, self.prompts, self.template, self.question = model, Prompts(model), template, question
        self.system: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self.messages: list[Message] = list(self.system)
        self.passages: tuple[Passage, ...] = ()

    def reset(self) -> None:
        """Forget all messages but that of the system."""
        self.messages = list(self.system)

    def ask(
        self, text: str, sampling: Sampling, complete: bool = False, cancelled: Callable[[], bool] = lambda: False
    ) -> Answer:
        """Return the answer to a message; ``complete`` continues the text instead.

        Raises:
            RequestFailed: the prompt cannot be built, or fills the context.
        """
        if complete:
            return Answer(self.model, self.prompts.text(text), sampling, continues=True, cancelled=cancelled)
        before = self.messages if self.prompts.turns else self.system
        self.passages = self.question(text).passages
        prompt = self.prompts.chat([*before, self._message(text)], self.template)
        return Answer(self.model, prompt, sampling, cancelled=cancelled)

    def keep(self, text: str, answer: str) -> None:
        """Add a message and its answer, if the model accepts several turns."""
        if self.prompts.turns:
            self.messages += [self._message(text), {"role": "assistant", "content": answer}]

    def _message(self, text: str) -> Message:
        return {"role": "user", "content": self.question(text).text}
