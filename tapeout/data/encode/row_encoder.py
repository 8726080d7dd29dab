"""Rows as token ids with loss masks: questions, questions about paragraphs, conversations.

No row is cut through its answer, and every row has something to train on: a row that does not fit is shortened where
that loses nothing, or cannot be used.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.chat import MARKS, ChatTemplate, Render, Span, Unfit
from tapeout.data.encode.prompt import encode_example
from tapeout.encoder.interface import Encoder, Token

WHOLE = "{input}{output}"
"""Template of rows whose input is already the whole prompt."""


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
    """

    def __init__(self, encoder: Encoder, job: EncodeJob) -> None:
        """Prepare the rendering of conversations."""
        self.encoder = encoder
        self.job = job
        self.render: Render
        self.tokenize: Callable[[str], list[Token]]
        if job.prompt.tokens == "template":
            self.chat_template = job.chat_template or ""
            self.render = ChatTemplate.of(self.chat_template, encoder).render
            self.tokenize = encoder.encode_rendered
        else:
            marks = MARKS[job.prompt.tokens]
            self.chat_template, self.render = marks.template, marks.render
            self.tokenize = partial(encoder.encode_rendered, marks=(marks.system, marks.turn, marks.label))

    def encode(self, row: Mapping[str, Any]) -> EncodedRow:
        """Return a row as ids and loss mask.

        Raises:
            Unfit: the row is too long and cannot be shortened, contains a mark of the prompt, or has an answer without
                tokens.
            InvalidTemplate: see ``ChatTemplate.render``.
        """
        return self._conversation(row) if "conversations" in row else self._question(row)

    def _conversation(self, row: Mapping[str, Any]) -> EncodedRow:
        """Leave out whole turns at the end until the conversation fits; bisection, because there may be thousands."""
        turns = row["conversations"]
        ends = [number for number in range(1, len(turns)) if turns[number - 1]["from"] != row["mask"]] + [len(turns)]
        best = EncodedRow([], [])
        low, high, middle = 0, len(ends), len(ends) - 1
        while low < high:
            text, spans = self.render({**row, "conversations": turns[: ends[middle]]})
            tokens = self.tokenize(text)
            if self._fits(tokens):
                ids = [token for token, _, _ in tokens]
                best, low = EncodedRow(ids, mask_of(tokens, spans), ends[middle] < len(turns)), middle + 1
            else:
                high = middle
            middle = (low + high) // 2
        if not any(best.mask[1:]):
            raise Unfit("no answer within seq_length")
        return best

    def _question(self, row: Mapping[str, Any]) -> EncodedRow:
        """Leave out words of the context, if the row states where it is, until the question fits."""
        context = row.get("context")
        template = WHOLE if context else self.job.template
        whole = EncodedRow(*encode_example(self.encoder, template, row["input"], row["output"]))
        if row["output"] and not any(whole.mask[:-1]):
            raise Unfit("the tokenizer has no tokens for the answer")
        if self._fits(whole.ids):
            return whole
        if not context:
            raise Unfit("longer than seq_length")
        low, high = 0, context[1] - context[0]
        best: EncodedRow | None = None
        while low <= high:  # bisection over the characters of the context that stay
            size = (low + high) // 2
            text = shortened(row["input"], (context[0], context[1]), row["answer"], size)
            encoded = EncodedRow(*encode_example(self.encoder, WHOLE, text, row["output"]), shortened=True)
            if self._fits(encoded.ids):
                best, low = encoded, size + 1
            else:
                high = size - 1
        if best is None:
            raise Unfit("longer than seq_length even without most of its context")
        return best

    def _fits(self, tokens: list[Any]) -> bool:
        """Return whether a row fits; its last id is only a label."""
        return len(tokens) <= self.job.seq_length + 1


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
