"""Preference pairs: what is read, what is dropped and counted, and what is an error."""

from typing import Any

import pytest

from tapeout.config.instructions import RecordFiles
from tapeout.data.encode.preference_pairs import EncodedPair, encoded_pairs, read_pair
from tapeout.data.encode.prompt import encode_example
from tapeout.data.errors import BadRow
from tapeout.data.instructions.record import Record
from tapeout.data.instructions.report import ImportReport
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("data")

TEMPLATE = "{input}\n### Answer: {output}"
TEXTS = {"prompt": "Which port?", "chosen": "clk", "rejected": "reset"}
QUESTION = {"role": "user", "content": "Which port?"}
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("clk", "reset"))


@pytest.fixture(scope="module")
def encoder() -> SentencePieceEncoder:
    return SentencePieceEncoder(train(["Which port? clk reset ### Answer:"] * 9, 300, hard_vocab_limit=False))


def pairs(
    values: list[Any], encoder: SentencePieceEncoder, seq_length: int = 200, **options: Any
) -> tuple[list[EncodedPair], ImportReport]:
    """Return the encoded pairs of some records, and the report."""
    files = RecordFiles(**options)
    report = ImportReport(files.bad_rows)
    records = [Record("ports", f"pairs.jsonl, line {number}", value) for number, value in enumerate(values, start=1)]
    return list(encoded_pairs(records, encoder, TEMPLATE, seq_length, files, report)), report


@pytest.mark.parametrize(
    "value",
    [
        TEXTS,
        {"prompt": [QUESTION], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "Which port?", "chosen": [QUESTION, GOOD], "rejected": [QUESTION, BAD], "score_chosen": 9.0},
        {"chosen": [QUESTION, GOOD], "rejected": [QUESTION, BAD], "messages": [QUESTION, GOOD]},
    ],
)
def test_both_answers_are_encoded_as_in_fine_tuning(value: dict[str, Any], encoder: SentencePieceEncoder) -> None:
    (pair,), report = pairs([value], encoder)
    assert pair.location == "ports/pairs.jsonl, line 1" and not report.dropped
    assert pair.chosen == encode_example(encoder, TEMPLATE, "Which port?", "clk")
    assert pair.rejected == encode_example(encoder, TEMPLATE, "Which port?", "reset")
    assert report.changed == {f"ignored field '{name}'": 1 for name in value if name in ("score_chosen", "messages")}


def test_no_answer_is_cut_and_what_is_dropped_is_counted(encoder: SentencePieceEncoder) -> None:
    positions = sum(len(encode_example(encoder, TEMPLATE, "Which port?", text)[0]) - 1 for text in ("clk", "reset"))
    for seq_length, kept in ((positions, 1), (positions - 1, 0)):
        found, report = pairs([TEXTS, {**TEXTS, "rejected": "clk\r\n"}], encoder, seq_length)
        assert len(found) == kept
        long = {"the two answers are longer than seq_length": {"count": 1, "first": ["pairs.jsonl, line 1"]}}
        equal = {"chosen and rejected have the same token ids": {"count": 1, "first": ["pairs.jsonl, line 2"]}}
        assert report.as_json()["dropped"] == (equal if kept else long | equal)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"prompt": "a", "chosen": "b"}, "the row has no field 'rejected'"),
        ({"chosen": "a", "rejected": "b"}, "the row has no field 'prompt'"),
        ({**TEXTS, "chosen": 3}, "field 'chosen' of the row is not a text"),
        ({**TEXTS, "chosen": " \n"}, "field 'chosen' of the row is empty"),
        ({**TEXTS, "chosen": [GOOD]}, "field 'rejected' of the row is not a list"),
        ({**TEXTS, "system": "Be brief."}, "field 'system' of the row would change what is learnt"),
        ({**TEXTS, "Rejected": "b"}, "field 'Rejected' of the row is written differently from 'rejected'"),
        (["a", "b"], "the row is not an object"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "not one question of the role user and one answer"),
        (
            {"chosen": [QUESTION, GOOD, QUESTION, GOOD], "rejected": [QUESTION, BAD]},
            "not one question of the role user and one answer",
        ),
        ({"prompt": "What?", "chosen": [QUESTION, GOOD], "rejected": [BAD]}, "does not begin with the prompt"),
        (
            {"chosen": [QUESTION, GOOD], "rejected": [{"role": "user", "content": "What?"}, BAD]},
            "answer different prompts",
        ),
        (
            {"chosen": [QUESTION, {**GOOD, "tool_calls": [{"name": "f"}]}], "rejected": [QUESTION, BAD]},
            "field 'tool_calls' of a message would change what is learnt",
        ),
        ({"chosen": [QUESTION, {"role": "assistant"}], "rejected": [QUESTION, BAD]}, "has no field 'content'"),
    ],
)
def test_a_bad_row_is_named_or_dropped_and_counted(value: Any, reason: str, encoder: SentencePieceEncoder) -> None:
    with pytest.raises(BadRow, match=r"pairs\.jsonl, line 2") as raised:
        pairs([TEXTS, value], encoder)
    assert reason in raised.value.reason
    found, report = pairs([TEXTS, value], encoder, bad_rows="drop")
    assert len(found) == 1 and report.dropped == {raised.value.reason: 1}


def test_options_for_other_fields(encoder: SentencePieceEncoder) -> None:
    value = {**TEXTS, "system": "Be brief."}
    found, report = pairs([value], encoder, ignored_fields=["system"])
    assert len(found) == 1 and report.changed == {"ignored field 'system'": 1}
    with pytest.raises(BadRow, match="a field is unknown"):
        read_pair(Record("ports", "line 1", {**TEXTS, "x": 1}), RecordFiles(other_fields="reject"), report)
