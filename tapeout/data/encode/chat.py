"""Conversations as text, and which of it is trained on (faults F55, F56, F57).

A conversation becomes one text; the answers in it are spans of characters. Tokens know the characters that they stand
for, so a mask follows from the spans, whatever the tokenizer does at their borders: no part is encoded a second time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tapeout.errors import TapeoutError

Span = tuple[int, int]
Render = Callable[[Mapping[str, Any]], tuple[str, list[Span]]]
"""From a row with ``conversations``, ``system`` and ``mask`` to its text and the spans that are trained on."""

LABELLED = "VALUE_TO_TEXT"
IN_TEMPLATES = (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError)
"""What an expression of a template can raise beside Jinja's own errors."""


class ForgedMark(ValueError):
    """A text holds a mark that only the prompt may have: it would begin a turn of its own."""


class UnevenTemplate(TapeoutError):
    """A chat template whose rendering of a conversation does not begin with that of its first turns."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The chat template cannot be trained with: {reason}.",
            "Give instructions.prompt.chat_template a template that renders each turn alike, whatever follows it.",
        )


@dataclass(frozen=True)
class Marks:
    """What parts the turns of a conversation.

    Attributes:
        system: before the system message.
        turn: before every turn; also what an answer ends with.
        label: before the labels of an answer.
        end: behind a speaker's name, labels and words.
    """

    system: str
    turn: str
    label: str
    end: str = "\n"

    @property
    def forgeable(self) -> tuple[str, ...]:
        """What no text may hold."""
        return self.system, self.turn, self.label

    @property
    def template(self) -> str:
        """The prompt's template, as NeMo-Aligner stores it with a model (F55)."""
        text, _ = self.render(
            {
                "system": "{system message}",
                "conversations": [
                    turn
                    for number in (1, 2)
                    for turn in (
                        {"from": "User", "value": f"{{turn {number} user message}}", "label": None},
                        {
                            "from": "Assistant",
                            "value": f"{{turn {number} assistant message}}",
                            "label": f"{{turn {number} assistant label}}",
                        },
                    )
                ],
                "mask": "User",
                "type": LABELLED,
            }
        )
        return text

    def render(self, row: Mapping[str, Any]) -> tuple[str, list[Span]]:
        """Text of a conversation, and what of it is trained on.

        That is every answer but one that opens the conversation, with its end, and the mark of the turn behind it. A
        label is read, not said; the first two turns of the user are never trained on, not even their marks.

        Raises:
            ForgedMark: a text holds a mark.
        """
        turns = row["conversations"]
        refuse([row["system"], *(turn["value"] for turn in turns)], self.forgeable)
        text = f"{self.system}System{self.end}{row['system']}{self.end}"
        spans: list[Span] = []
        for number, turn in enumerate(turns):
            if turn["from"] == row["mask"] and number > 1:
                spans.append((len(text), len(text) + len(self.turn)))
            text += f"{self.turn}{turn['from']}{self.end}"
            if row.get("type") == LABELLED and turn.get("label") is not None:
                text += f"{self.label}{turn['label']}{self.end}"
            start = len(text)
            text += f"{turn['value']}{self.end}"
            if turn["from"] != row["mask"] and number > 0:
                spans.append((start, len(text)))
        if turns[-1]["from"] != row["mask"]:
            spans.append((len(text), len(text) + len(self.turn)))
            text += self.turn
        return text, spans


ALIGNER = Marks("\x00", "\x11", "\x12")
EXTRA_ID = Marks("<extra_id_0>", "<extra_id_1>", "<extra_id_2>")


def refuse(texts: Sequence[str], marks: Sequence[str]) -> None:
    """Check that no text holds a mark.

    Raises:
        ForgedMark: one does.
    """
    for mark in marks:
        if any(mark in text for text in texts):
            raise ForgedMark(mark)


@dataclass(frozen=True)
class ChatTemplate:
    """A model's own chat template (Jinja, as transformers renders it).

    Attributes:
        source: the template.
        forgeable: the tokenizer's control pieces, which no text may hold.
        begin: text of the piece that begins a text.
        end: text of the piece that ends one.
    """

    source: str
    forgeable: tuple[str, ...]
    begin: str
    end: str

    def render(self, row: Mapping[str, Any]) -> tuple[str, list[Span]]:
        """Text of a conversation, and what of it is trained on: whatever an assistant's turn adds to the prompt for it.

        Raises:
            ForgedMark: a text holds a control piece.
            UnevenTemplate: the template does not render turn behind turn.
        """
        names = {"User": "user", "Assistant": "assistant"}
        messages = [{"role": "system", "content": row["system"]}] if row["system"] else []
        messages += [{"role": names[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
        refuse([message["content"] for message in messages], self.forgeable)
        whole = self._text(messages, prompt=False)
        spans = []
        for number, message in enumerate(messages):
            if message["role"] == "assistant":
                before = self._text(messages[:number], prompt=True)
                after = self._text(messages[: number + 1], prompt=False)
                if not (after.startswith(before) and whole.startswith(after) and len(after) > len(before)):
                    raise UnevenTemplate(f"its text of {number + 1} turns does not begin with that of {number}")
                spans.append((len(before), len(after)))
        return whole, spans

    def _text(self, messages: list[dict[str, Any]], prompt: bool) -> str:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refused
        try:
            return environment.from_string(self.source).render(
                messages=messages, add_generation_prompt=prompt, bos_token=self.begin, eos_token=self.end
            )
        except (TemplateError, *IN_TEMPLATES) as error:
            raise UnevenTemplate(str(error) or type(error).__name__) from error


def _refused(message: str) -> str:
    raise TemplateError(message)
