"""Rows as token ids with loss masks: questions, questions about paragraphs, conversations (F47, F48, F57).

No row is cut through its answer, and none is trained on that has nothing to train on: a row that does not fit is made
shorter where that loses nothing, or left out and counted.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tapeout.data.encode.chat import ForgedMark, Render, Span
from tapeout.data.encode.prompt import encode_example
from tapeout.encoder.interface import Encoder, Token

Encoded = tuple[list[int], list[int]]
"""Ids, and a mask of the same length: 1 where the loss counts."""

Tokenize = Callable[[str], list[Token]]
"""``Encoder.encode_spans``, or ``encode_rendered`` for a chat template that writes control pieces."""

WHOLE = "{input}{output}"
"""Template of rows whose input is the whole prompt already."""


class Unfit(ValueError):
    """A row that cannot be trained on, with the reason under which it is counted."""


def mask_of(tokens: list[Token], spans: list[Span]) -> list[int]:
    """1 for each token of which every character lies in one of the spans.

    A token without a character of its own (a byte of a character whose last byte has it) goes with the next token.
    """
    mask = [0] * len(tokens)
    for place in range(len(tokens) - 1, -1, -1):
        _, start, end = tokens[place]
        if start == end and place + 1 < len(tokens) and tokens[place + 1][1] == start:
            mask[place] = mask[place + 1]
        else:
            mask[place] = int(start < end and any(first <= start and end <= last for first, last in spans))
    return mask


def encode_conversation(
    row: Mapping[str, Any], render: Render, tokenize: Tokenize, seq_length: int
) -> tuple[Encoded, bool]:
    """A conversation as ids and mask, and whether its last turns were left out because they did not fit (F57).

    Raises:
        Unfit: not even the first answer fits, or a text holds a mark of the prompt.
    """
    turns = list(row["conversations"])
    while turns:
        try:
            text, spans = render({**row, "conversations": turns})
        except ForgedMark as error:
            raise Unfit("a text holds a mark of the prompt") from error
        tokens = tokenize(text)
        mask = mask_of(tokens, spans)
        if len(tokens) <= seq_length + 1:
            if not any(mask[1:]):
                break
            return ([token for token, _, _ in tokens], mask), len(turns) < len(row["conversations"])
        turns.pop()
        while turns and turns[-1]["from"] == row["mask"]:
            turns.pop()
    raise Unfit("no answer within seq_length")


def encode_prompted(row: Mapping[str, Any], template: str, encoder: Encoder, seq_length: int) -> tuple[Encoded, bool]:
    """An input and its output as ids and mask, and whether the context was made shorter.

    Raises:
        Unfit: it is too long, and has no context that can be made shorter.
    """
    about = row.get("context")
    ids, mask = encode_example(encoder, WHOLE if about else template, row["input"], row["output"])
    if len(ids) <= seq_length + 1:
        return (ids, mask), False
    if not about:
        raise Unfit("longer than seq_length")
    # words of the context, of which as many stay as fit, around the answer if it has one
    lowest, highest = 0, about[1] - about[0]
    best: Encoded | None = None
    while lowest <= highest:
        middle = (lowest + highest) // 2
        text = shortened(row["input"], (about[0], about[1]), row["answer"], middle)
        found = encode_example(encoder, WHOLE, text, row["output"])
        if len(found[0]) <= seq_length + 1:
            best, lowest = found, middle + 1
        else:
            highest = middle - 1
    if best is None:
        raise Unfit("longer than seq_length even without most of its context")
    return best, True


def shortened(text: str, context: Span, answer: Span | None, size: int) -> str:
    """The prompt with at most ``size`` characters of its context: the beginning, or what is around the answer.

    Words stay whole, and so does the answer, even if it alone is longer than ``size``.
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
        least = start if answer is None else answer[1]
        while end > least and not text[end].isspace():
            end -= 1
    return text[:first] + text[start:end] + text[last:]
