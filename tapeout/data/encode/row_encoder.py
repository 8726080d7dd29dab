"""Rows as token ids with loss masks: questions, questions about paragraphs, conversations.

No row is cut through its answer, and every row has something to train on: a row that does not fit is shortened where
that loses nothing, or cannot be used.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple

from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.chat import MARKS, ChatTemplate, Render, Span, Unfit
from tapeout.data.encode.prompt import encode_example
from tapeout.encoder.interface import Encoder, Token

WHOLE = "{input}{output}"
"""Template of rows whose input is already the whole prompt."""
DEPENDENT = "the token ids of a prompt depend on its answer"


class EncodedRow(NamedTuple):
    """A row as token ids.

    Attributes:
        ids: token ids.
        mask: list of the same length, 1 where the loss counts.
        shortened: whether turns or words of the context were left out to make it fit.
    """

    ids: list[int]
    mask: list[int]
    shortened: bool = False


class RowEncoder:
    """The encoder of instruction rows, of either kind.

    Attributes:
        encoder: the tokenizer.
        job: templates, marks and maximum length.
        chat_template: text of the conversation template, as it is stored with a model.
        end_of_question: text that ends the answer to a question, besides the token that ends a sequence.
    """

    def __init__(self, encoder: Encoder, job: EncodeJob) -> None:
        """Prepare the rendering of conversations."""
        self.encoder = encoder
        self.job = job
        self.render: Render
        self.template: ChatTemplate | None = None
        self.end_of_question = ""
        if job.prompt.tokens == "template":
            self.chat_template = job.chat_template or ""
            self.template = ChatTemplate.of(self.chat_template, encoder)
            self.render = self.template.render
            self.end_of_question = self.template.end_of_answer() if job.prompt.for_questions else ""
        else:
            self.marks = MARKS[job.prompt.tokens]
            self.chat_template, self.render = self.marks.template, self.marks.render

    def encode(self, row: Mapping[str, Any]) -> EncodedRow:
        """Return a row as ids and loss mask.

        Raises:
            Unfit: the row is too long and cannot be shortened, contains a mark of the prompt, or has an answer without
                tokens.
            InvalidTemplate: see ``ChatTemplate.render``.
        """
        return self._conversation(row) if "conversations" in row else self.fitted_question(row)[1]

    def tokens(self, row: Mapping[str, Any]) -> tuple[str, list[Span], list[Token]]:
        """Return the text of a conversation, the spans of it that are trained on, and its tokens.

        Raises:
            Unfit, InvalidTemplate: see ``encode``.
        """
        text, spans = self.render(row)
        if self.template is None:
            marks = self.marks
            return text, spans, self.encoder.encode_rendered(text, (marks.system, marks.turn, marks.label))
        return text, spans, self.encoder.encode_rendered(text, plain=self.template.names_in_messages(row, text))

    def _conversation(self, row: Mapping[str, Any]) -> EncodedRow:
        """Leave out whole turns at the end until the conversation fits; bisection, because there may be thousands."""
        turns = row["conversations"]
        ends = [number for number in range(1, len(turns)) if turns[number - 1]["from"] != row["mask"]] + [len(turns)]
        best = EncodedRow([], [])
        low, high, middle = 0, len(ends), len(ends) - 1
        while low < high:
            part = {**row, "conversations": turns[: ends[middle]]}
            _, spans, tokens = self.tokens(part)
            if self._fits(tokens):
                ids = [token for token, _, _ in tokens]
                best, kept = EncodedRow(ids, mask_of(tokens, spans), ends[middle] < len(turns)), (part, spans, tokens)
                low = middle + 1
            else:
                high = middle
            middle = (low + high) // 2
        if not any(best.mask[1:]):
            raise Unfit("no answer within seq_length")
        self.check_prompts(*kept)
        return best

    def check_prompts(self, row: Mapping[str, Any], spans: list[Span], tokens: list[Token]) -> None:
        """Check that the ids of each prompt do not depend on its answer, as they would if a token spanned both.

        With turn marks, a line feed precedes each answer, so nothing but such a token can make a difference.

        Args:
            row: a conversation.
            spans: spans of its text that are trained on.
            tokens: its tokens.

        Raises:
            Unfit: they do; a server, which encodes the prompt alone, would give the model other ids.
        """
        if self.template is None:
            ends = {end for _, end in spans}
            starts = [start for start, _ in spans if start not in ends]  # the mark after an answer continues it
            if any(bisect_right(starts, begin) < bisect_left(starts, end) for _, begin, end in tokens):
                raise Unfit(DEPENDENT)
            return
        ids = [token for token, _, _ in tokens]
        text, _ = self.render(row)
        names = self.template.names_in_messages(row, text)
        for start, _ in spans:
            alone = [token for token, _, _ in self.encoder.encode_rendered(text[:start], plain=names)]
            if alone != ids[: len(alone)]:
                raise Unfit(DEPENDENT)

    def fitted_question(self, row: Mapping[str, Any]) -> tuple[str, EncodedRow]:
        """Leave out words of the context, if the row states where it is, until the question fits.

        Returns:
            the question, with the words that stay, and the row.

        Raises:
            Unfit, InvalidTemplate: see ``encode``.
        """
        context = row.get("context")
        template = WHOLE if context else self.job.template
        whole = self._example(template, row["input"], row["output"])
        if row["output"] and not any(whole.mask[:-1]):
            raise Unfit("the tokenizer has no tokens for the answer")
        if self._fits(whole.ids):
            return row["input"], whole
        if not context:
            raise Unfit("longer than seq_length")
        low, high = 0, context[1] - context[0]
        best: tuple[str, EncodedRow] | None = None
        while low <= high:  # bisection over the characters of the context that stay
            size = (low + high) // 2
            text = shortened(row["input"], (context[0], context[1]), row["answer"], size)
            encoded = self._example(WHOLE, text, row["output"])._replace(shortened=True)
            if self._fits(encoded.ids):
                best, low = (text, encoded), size + 1
            else:
                high = size - 1
        if best is None:
            raise Unfit("longer than seq_length even without most of its context")
        return best

    def _example(self, template: str, text: str, answer: str) -> EncodedRow:
        """Return a question and its answer, which the model's own chat template renders as two turns."""
        if not self.job.prompt.for_questions:
            return EncodedRow(*encode_example(self.encoder, template, text, answer))
        row = as_conversation(text, answer)
        _, spans, tokens = self.tokens(row)
        ids = [token for token, _, _ in tokens]
        self.check_prompts(row, spans, tokens)
        return EncodedRow(ids, mask_of(tokens, spans))

    def _fits(self, tokens: list[Any]) -> bool:
        """Return whether a row fits; its last id is only a label."""
        return len(tokens) <= self.job.seq_length + 1


def as_conversation(text: str, answer: str) -> dict[str, Any]:
    """Return a question and its answer as a conversation without a system message."""
    turns = [{"from": "User", "value": text}, {"from": "Assistant", "value": answer}]
    return {"conversations": turns, "system": "", "mask": "User"}


def mask_of(tokens: list[Token], spans: list[Span]) -> list[int]:
    """Return 1 for each token of which every character is in one of the spans, else 0.

    A token without a character (any byte but the last of one that is spelled in bytes) gets the mask of the next token.
    """
    mask = [0] * len(tokens)
    for index in range(len(tokens) - 1, -1, -1):
        _, start, end = tokens[index]
        if start == end and index + 1 < len(tokens) and tokens[index + 1][1] == start:
            mask[index] = mask[index + 1]
        else:
            mask[index] = int(start < end and any(first <= start and end <= last for first, last in spans))
    return mask


def shortened(text: str, context: Span, answer: Span | None, size: int) -> str:
    """Return the prompt with at most ``size`` characters of its context: the beginning, or those around the answer.

    Words stay whole, and so does the answer, even if it alone is longer than ``size``.

    Args:
        text: the prompt.
        context: span of the context in it.
        answer: span of the answer in it; None if the context does not have it.
        size: maximum characters of the context.
    """
    first, last = context
    start, end = first, min(first + size, last)
    if answer is not None and answer[1] > end:
        spare = max(size - (answer[1] - answer[0]), 0) // 2
        end = min(answer[1] + spare, last)
        start = max(min(end - size, answer[0]), first)
    if start > first and answer is not None:
        while start < answer[0] and not text[start - 1].isspace():
            start += 1
    if end < last:
        min_end = start if answer is None else answer[1]
        while end > min_end and not text[end].isspace():
            end -= 1
    return text[:first] + text[start:end] + text[last:]
