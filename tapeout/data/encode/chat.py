"""Conversations as text, and the spans of it that are trained on.

A conversation becomes one text in which the answers are spans of characters. Tokens know their characters, so the loss
mask follows from the spans for any tokenizer, and no part is encoded a second time.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn, Self

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tapeout.data.errors import InvalidTemplate
from tapeout.encoder.interface import Encoder

Span = tuple[int, int]
Render = Callable[[Mapping[str, Any]], tuple[str, list[Span]]]
"""From a row with ``conversations``, ``system`` and ``mask`` to its text and the spans that are trained on."""

LABELLED = "VALUE_TO_TEXT"
BRACKETED = re.compile(r"<+[^<>\s]+>+|\[[^\[\]\s]+\]")
"""Marks in a rendered chat template, such as ``<|im_start|>``, ``[INST]`` and ``<<SYS>>``."""
PLAIN = "text"
"""Text that every chat template renders as it is."""
EXPRESSION_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError)
"""Errors that an expression of a template can raise besides Jinja's own."""


class Unfit(ValueError):
    """A row that cannot be trained on, with the reason under which it is counted."""


@dataclass(frozen=True)
class Marks:
    """Texts that separate the turns of a conversation.

    Attributes:
        system: before the system message.
        turn: before every turn; also what an answer ends with.
        label: before the labels of an answer.
        end: after a speaker's name, labels and text.
    """

    system: str
    turn: str
    label: str
    end: str = "\n"

    @property
    def template(self) -> str:
        """Template of the prompt, as NeMo-Aligner stores it with a model."""
        turns: list[dict[str, str | None]] = []
        for number in (1, 2):
            text = f"{{turn {number} assistant message}}"
            turns.append({"from": "User", "value": f"{{turn {number} user message}}", "label": None})
            turns.append({"from": "Assistant", "value": text, "label": f"{{turn {number} assistant label}}"})
        row = {"system": "{system message}", "conversations": turns, "mask": "User", "type": LABELLED}
        return self.render(row)[0]

    def render(self, row: Mapping[str, Any]) -> tuple[str, list[Span]]:
        """Return the text of a conversation, and the spans that are trained on.

        These are all answers, except one that opens the conversation and those with ``train`` false, with their ends,
        and the mark of the turn after each. Labels are input. The first two turns are never trained on as the user's,
        not even their marks.

        Raises:
            Unfit: a text contains a mark.
        """
        turns = row["conversations"]
        check_marks([row["system"], *(turn["value"] for turn in turns)], (self.system, self.turn, self.label))
        text = f"{self.system}System{self.end}{row['system']}{self.end}"
        spans: list[Span] = []
        for number, turn in enumerate(turns):
            if turn["from"] == row["mask"] and number > 1 and is_trained(turns[number - 1]):
                spans.append((len(text), len(text) + len(self.turn)))
            text += f"{self.turn}{turn['from']}{self.end}"
            if row.get("type") == LABELLED and turn.get("label") is not None:
                text += f"{self.label}{turn['label']}{self.end}"
            start = len(text)
            text += f"{turn['value']}{self.end}"
            if turn["from"] != row["mask"] and number > 0 and is_trained(turn):
                spans.append((start, len(text)))
        if turns[-1]["from"] != row["mask"]:
            if is_trained(turns[-1]):
                spans.append((len(text), len(text) + len(self.turn)))
            text += self.turn
        return text, spans


ALIGNER = Marks("\x00", "\x11", "\x12")
EXTRA_ID = Marks("<extra_id_0>", "<extra_id_1>", "<extra_id_2>")
MARKS = {"aligner": ALIGNER, "extra_id": EXTRA_ID}


def is_trained(turn: Mapping[str, Any]) -> bool:
    """Return whether a turn may be trained on; the field ``train`` is only there to exclude it."""
    return turn.get("train") is not False


def check_marks(texts: Sequence[str], marks: Sequence[str]) -> None:
    """Check that no text contains a mark that only the prompt may have: it would start another turn.

    Raises:
        Unfit: one does.
    """
    for mark in marks:
        if any(mark in text for text in texts):
            raise Unfit("a text contains a mark of the prompt")


@dataclass(frozen=True)
class ChatTemplate:
    """A model's own chat template (Jinja, as transformers renders it).

    Attributes:
        source: the template.
        control_pieces: the tokenizer's control pieces, which end an answer; in a message their names are text.
        added_pieces: the tokenizer's added pieces; no text may contain one that the template uses.
        bos: text of the piece that begins a sequence.
        eos: text of the piece that ends one.
    """

    source: str
    control_pieces: tuple[str, ...]
    added_pieces: tuple[str, ...]
    bos: str
    eos: str

    @classmethod
    def of(cls, source: str, encoder: Encoder) -> Self:
        """Return a template with the pieces of a tokenizer."""
        bos = "" if encoder.bos is None else encoder.id_to_piece(encoder.bos)
        pieces = tuple(encoder.control_pieces), tuple(encoder.added_pieces)
        return cls(source, *pieces, bos, encoder.id_to_piece(encoder.eos))

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """The texts that only the template may write, because tokens do not tell them from those of a message.

        These are the added pieces that it uses, and what it puts into brackets. Control pieces are not among them.
        """
        rendered = self._example()
        added = [name for name in self.added_pieces if name in rendered]
        written = dict.fromkeys([*added, *BRACKETED.findall(rendered)])
        return tuple(name for name in written if name not in self.control_pieces)

    def end_of_answer(self, system: str = "") -> str:
        """Return what the template writes after an answer, without white space around it."""
        turns = [{"from": "User", "value": "question"}, {"from": "Assistant", "value": "answer"}]
        whole, spans = self.render({"conversations": turns, "system": system})
        return whole[slice(*spans[-1])].partition("answer")[2].strip()

    def render(self, row: Mapping[str, Any]) -> tuple[str, list[Span]]:
        """Return the text of a conversation, and the spans that are trained on.

        These are what each answer adds to its prompt, up to the control piece after its text, or all of it if there is
        none.

        Raises:
            Unfit: a text contains a mark, or the template leaves it out or changes it, also once other turns follow
                (Qwen 3 removes the reasoning of earlier answers).
            InvalidTemplate: the template does not render turn after turn, whatever the texts are.
        """
        try:
            return self._rendered(row)
        except InvalidTemplate as error:
            plain = [{**turn, "value": PLAIN} for turn in row["conversations"]]
            self._rendered({**row, "conversations": plain, "system": row["system"] and PLAIN})
            raise Unfit("the chat template does not render its texts turn after turn") from error

    def _rendered(self, row: Mapping[str, Any]) -> tuple[str, list[Span]]:
        messages = _messages(row)
        first = len(messages) - len(row["conversations"])
        check_marks([message["content"] for message in messages], self.marks)
        whole = self._text(messages, prompt=False)
        spans = []
        for number, message in enumerate(messages):
            if message["role"] == "assistant" and is_trained(row["conversations"][number - first]):
                before = self._text(messages[:number], prompt=True)
                after = self._text(messages[: number + 1], prompt=False)
                if not (after.startswith(before) and whole.startswith(after) and len(after) > len(before)):
                    raise _template_error(f"its text of {number + 1} turns does not begin with that of {number}")
                control = self._control_pattern.search(after, _find(message, after, len(before)))
                spans.append((len(before), control.end() if control else len(after)))
        position = 0
        for message in messages:
            end = _find(message, whole, position)
            position = position if message["role"] == "system" else end  # it may stand after the first question
        return whole, spans

    def names_in_messages(self, row: Mapping[str, Any], text: str) -> list[Span]:
        """Return where the rendered text of a row has names of control pieces that its messages contain.

        The row is rendered again with a character that it does not have in place of each name.

        Raises:
            Unfit: the template renders something else then.
        """
        messages = _messages(row)
        contents = "".join(message["content"] for message in messages)
        if not self._control_pattern.search(contents):
            return []
        stand_in = next(character for character in map(chr, range(0xE000, 0xF900)) if character not in contents + text)
        hidden = [
            {**one, "content": self._control_pattern.sub(lambda name: stand_in * len(name[0]), one["content"])}
            for one in messages
        ]
        other = self._text(hidden, prompt=False)
        pairs = zip(other, text, strict=False)
        if len(other) != len(text) or any(one not in (character, stand_in) for one, character in pairs):
            raise Unfit("the chat template depends on the name of a control token in a text")
        return [found.span() for found in re.finditer(f"{stand_in}+", other)]

    @cached_property
    def _control_pattern(self) -> re.Pattern[str]:
        """Pattern of the names of control pieces, the longer of two that begin at the same character."""
        names = sorted(self.control_pieces, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or r"(?!)")

    def _example(self) -> str:
        """Return the text of a conversation without brackets, or nothing if the template renders none."""
        turns = [{"role": role, "content": PLAIN} for role in ("system", *("user", "assistant") * 2)]
        for messages in (turns, turns[1:]):  # some templates refuse system messages
            try:
                return self._text(messages, prompt=False)
            except InvalidTemplate:
                continue
        return ""

    @cached_property
    def _template(self) -> Template:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _raise
        environment.filters["tojson"] = _to_json
        return environment.from_string(self.source)

    def _text(self, messages: list[dict[str, Any]], prompt: bool) -> str:
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=prompt,
                bos_token=self.bos,
                eos_token=self.eos,
                tools=None,
                documents=None,
            )
        except (TemplateError, *EXPRESSION_ERRORS) as error:
            raise _template_error(str(error) or type(error).__name__) from error


def _messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a conversation as the messages that a template renders."""
    roles = {"User": "user", "Assistant": "assistant"}
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return system + [{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]


def _find(message: Mapping[str, str], text: str, start: int) -> int:
    """Return the end of the first occurrence of a message in a text, after ``start``.

    Raises:
        Unfit: it does not occur; the template has left it out, or changed it.
    """
    content = message["content"].strip()
    position = text.find(content, start)
    if position < 0:
        raise Unfit(f"the chat template leaves out or changes a text of the role {message['role']}")
    return position + len(content)


def _template_error(reason: str) -> InvalidTemplate:
    return InvalidTemplate(
        f"The chat template cannot be trained with: {reason}.",
        "Give instructions.prompt.chat_template a template that renders a turn the same with or without later turns.",
    )


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return a value as the filter ``tojson`` of transformers does; Jinja's own escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
