"""Rows of instruction sets as questions: the sample, and the prompt and expected answer of each row as in training."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.chat import Span, Unfit, is_trained
from tapeout.data.encode.row_encoder import RowEncoder, mask_of
from tapeout.data.errors import BadRow
from tapeout.encoder.interface import Encoder, Token
from tapeout.evals.rows import in_sample_order, read_rows

REBUILD = "Build the set again."


@dataclass(frozen=True)
class Question:
    """A row as token ids, exactly as in fine-tuning.

    Attributes:
        row: the row as it was read.
        digest: identifies the question; of a conversation of which turns are left out, also their number.
        prompt: ids before the answer.
        answer: ids of the expected answer, with the tokens that end it.
        asked: the prompt as the report shows it.
        expected: text of the expected answer.
        accepted: texts that count as right, ``expected`` among them.
        stop: text that ends an answer; empty if the end token does.
        stop_ids: tokens that end an answer.
        answers: of a conversation, first and last index (exclusive) of every answer and what ends it in ``prompt`` and
            ``answer`` together; the last one is ``answer``. Empty for a question.
    """

    row: Mapping[str, Any]
    digest: str
    prompt: Sequence[int]
    answer: Sequence[int]
    asked: str
    expected: str
    accepted: Sequence[str]
    stop: str
    stop_ids: frozenset[int]
    answers: Sequence[Span] = ()


def read_questions(path: Path) -> list[dict[str, Any]]:
    """Read the test rows of an instruction set.

    Raises:
        BadRow: a line is neither a question nor a conversation.
        NotEnoughData: there is no row.
    """
    rows = read_rows(path, ("category", "source", "licence"))
    for row in rows:
        if "conversations" not in row and not all(isinstance(row.get(field), str) for field in ("input", "output")):
            raise BadRow(f"{path}, row {row['digest']}", "neither a question nor a conversation", fix=REBUILD)
    return rows


def sample_questions(rows: Iterable[dict[str, Any]], max_rows: int) -> list[dict[str, Any]]:
    """Choose up to ``max_rows`` rows in sample order, spread as evenly over the categories as their sizes allow."""
    by_category: dict[str, list[dict[str, Any]]] = {}
    for row in in_sample_order(rows):
        by_category.setdefault(row["category"], []).append(row)
    rounds = zip_longest(*(by_category[category] for category in sorted(by_category)))
    return [row for turn in rounds for row in turn if row is not None][:max_rows]


def encode_questions(
    encoder: Encoder, encoding: EncodeJob, context: int, rows: Iterable[Mapping[str, Any]]
) -> list[Question]:
    """Return the rows that fit into a model's context, encoded by the code that encodes them for training.

    Of a conversation the last answer that fits is asked for, given all turns before it.

    Args:
        encoder: the model's tokenizer.
        encoding: how rows become token ids.
        context: maximum number of tokens of a sequence.
        rows: the rows.
    """
    row_encoder = question_encoder(encoder, encoding, context)
    questions = []
    for row in rows:
        with suppress(Unfit):
            questions.append(encode_question(row_encoder, row))
    return questions


def question_encoder(encoder: Encoder, encoding: EncodeJob, context: int) -> RowEncoder:
    """Return what encodes the rows that fit into a model's context; see ``encode_questions``."""
    # the last id of a training row is only a label, here all ids are input
    return RowEncoder(encoder, encoding.model_copy(update={"seq_length": context - 1}))


def encode_question(encoder: RowEncoder, row: Mapping[str, Any]) -> Question:
    """Return a row encoded as a question.

    Raises:
        Unfit: it does not fit, or the template cannot render it.
    """
    return _conversation(encoder, row) if "conversations" in row else _single(encoder, row)


def _single(encoder: RowEncoder, row: Mapping[str, Any]) -> Question:
    ids, mask, _ = encoder.encode(row)
    first = list(mask).index(1)
    control = set(encoder.encoder.control_pieces.values())
    ends, stop = frozenset({encoder.encoder.eos, *control.intersection(ids[first:])}), encoder.end_of_question
    return Question(
        row=row,
        digest=row["digest"],
        prompt=ids[:first],
        answer=ids[first:],
        asked=row["input"],
        expected=row["output"],
        accepted=row.get("accepted", [row["output"]]),
        stop=stop,
        stop_ids=ends,
    )


def _conversation(encoder: RowEncoder, row: Mapping[str, Any]) -> Question:
    for count in range(len(row["conversations"]), 0, -1):
        turns = row["conversations"][:count]
        text, spans, rendered = encoder.tokens({**row, "conversations": turns})
        answers = [number for number, turn in enumerate(turns) if turn["from"] != row["mask"] and is_trained(turn)]
        if not spans or not answers:
            break
        runs = _runs(spans)
        start, end = runs[-1]
        number = max((number for number in answers if turns[number]["value"].strip() in text[start:end]), default=0)
        tokens = [token for token in rendered if token[1] < end]
        mask = mask_of(tokens, [(start, end)])
        if number and any(mask[1:]) and len(tokens) <= encoder.job.seq_length + 1:
            encoder.check_prompts({**row, "conversations": turns}, spans, rendered)
            expected = turns[number]["value"].strip()
            tail = text.index(expected, start) + len(expected)
            ids, first, stop = [token for token, _, _ in tokens], mask.index(1), text[tail:end].strip()
            return Question(
                row=row,
                digest=row["digest"] if count == len(row["conversations"]) else f"{row['digest']}/{count}",
                prompt=ids[:first],
                answer=ids[first:],
                asked="\n\n".join(f"{turn['from']}: {turn['value']}" for turn in turns[:number]),
                expected=expected,
                accepted=[expected],
                stop=stop,
                stop_ids=_stop_ids(encoder.encoder, [token for token, begin, _ in tokens if begin >= tail], stop),
                answers=[part for part in (_indices(tokens, run) for run in runs) if part[0] > 0],
            )
    raise Unfit("no answer within the context")


def _runs(spans: Sequence[Span]) -> list[Span]:
    """Join each span with those that continue it: an answer with what ends it."""
    runs: list[Span] = []
    for start, end in spans:
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _indices(tokens: list[Token], span: Span) -> Span:
    """Return the first and last index (exclusive) of the tokens in a span; zeros if it has none."""
    inside = [index for index, counts in enumerate(mask_of(tokens, [span])) if counts]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _stop_ids(encoder: Encoder, tail: Iterable[int], stop: str) -> frozenset[int]:
    """Return the end token, the control pieces after an answer, and a token that is the whole stop text."""
    control = set(encoder.control_pieces.values())
    ends = {token for token in tail if token in control or (stop and encoder.id_to_bytes(token) == stop.encode())}
    return frozenset({encoder.eos} | ends)
