"""Questions with their right passages: known answers, and what is left out and counted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.passages import PassagesJob, QuestionsJob
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import write_jsonl
from tapeout.retrieval.passages import read_passages, write_passages
from tapeout.retrieval.question import Question, read_questions
from tapeout.retrieval.questions import write_questions
from tests.retrieval.material import FIFO, TEST, TRAIN, UART, corpus

pytestmark = pytest.mark.environment("serve")
WIDTH = "input wire [7:0] in_data,\noutput wire full\n\nHow wide is in_data?"


def asked(text: str, category: str, output: str, group: str, source: str = "unseen") -> dict[str, str]:
    return {"input": text, "category": category, "output": output, "group": group, "source": source}


TRAINING = asked("How wide is address?\n\ninput wire [31:0] address", "signal_width", "32 bits", "cache", "seen")
LIST = "List the names of the ports in order.\n\ninput wire clk,\noutput wire tx"
ROWS = [
    asked(WIDTH, "signal_width", "8 bits", "fifo"),
    asked("Which modules are instantiated here?\n\ncounter c (.clk(clk));", "instantiated_modules", "counter", "fifo"),
    asked(LIST, "list_ports", "clk, tx", "uart"),
    asked("module uart (input wire clk);\n\nWhat is the name of this module?", "module_name", "uart", "uart"),
]


def made(
    tmp_path: Path,
    test: list[dict[str, str]],
    texts: dict[str, str] = TEST,
    training: dict[str, str] = TRAIN,
    rows_of_training: Sequence[dict[str, str]] = (TRAINING,),
) -> tuple[Any, Path]:
    """Return the report and the folder of the questions of rows, of texts by path."""
    rows, domain = tmp_path / "rows", corpus(tmp_path / "domain", training, texts)
    rows.mkdir()
    write_jsonl(rows / "train.jsonl", rows_of_training)
    write_jsonl(rows / "test.jsonl", test)
    write_passages([domain], PassagesJob(characters=64, overlap=8), tmp_path / "passages")
    job = QuestionsJob(separator="\n\n", held_out=("unseen",))
    return write_questions(rows, [domain], tmp_path / "passages", job, tmp_path / "questions"), tmp_path / "questions"


def text_of(tmp_path: Path, split: str, question: Question) -> list[str]:
    texts = {passage.id: passage.text for passage in read_passages(tmp_path / f"passages/{split}.jsonl")}
    return [texts[name] for name in question.passages]


def test_the_right_passage_contains_the_line_that_answers(tmp_path: Path) -> None:
    report, folder = made(tmp_path, ROWS)
    questions = {question.question: question for question in read_questions(folder / "test.jsonl")}
    assert set(questions) == {
        "In the module fifo: How wide is in_data?",
        "In the module fifo: Which modules are instantiated here?",
        "In the module uart: List the names of the ports in order.",
    }
    lines = ("input wire [7:0] in_data,", "counter c (", "input wire clk,")
    for name, line in zip(sorted(questions), lines, strict=True):
        texts = text_of(tmp_path, "test", questions[name])
        assert texts and all(line in text for text in texts)
    assert report["test"] == {"questions": 3, "category that asks about the excerpt itself": 1}
    assert [question.digest for question in read_questions(folder / "test.jsonl")] == sorted(
        question.digest for question in questions.values()
    )


def test_no_question_contains_its_excerpt_or_names_its_file(tmp_path: Path) -> None:
    _, folder = made(tmp_path, ROWS)
    for question in read_questions(folder / "test.jsonl"):
        assert "wire" not in question.question and ".v" not in question.question and "\n" not in question.question


def test_training_questions_never_come_from_held_out_cores(tmp_path: Path) -> None:
    _, folder = made(tmp_path, [*ROWS, TRAINING], rows_of_training=[TRAINING, *ROWS])
    train, test = (read_questions(folder / f"{split}.jsonl") for split in ("train", "test"))
    assert {question.source for question in train} == {"seen"} and {question.source for question in test} == {"unseen"}
    known = {passage.id for passage in read_passages(tmp_path / "passages/train.jsonl")}
    assert all(name in known for question in train for name in question.passages)


def test_a_module_that_two_documents_define_is_ambiguous_even_in_another_split(tmp_path: Path) -> None:
    texts = {**TRAIN, "rtl/other.v": UART.replace("tx", "rx")}
    report, folder = made(tmp_path, ROWS, training=texts)
    assert report["test"]["ambiguous: the module is defined more than once"] == 1
    assert {question.module for question in read_questions(folder / "test.jsonl")} == {"fifo"}


def test_equal_questions_about_one_module_are_one_with_all_passages(tmp_path: Path) -> None:
    second = asked(
        "How wide is in_data?\n\ninput wire clk,\ninput wire [7:0] in_data", "signal_width", "8 bits", "fifo"
    )
    report, folder = made(tmp_path, [ROWS[0], second])
    assert report["test"] == {"questions": 1, "merged with an equal question": 1}
    (question,) = read_questions(folder / "test.jsonl")
    assert all("in_data" in text for text in text_of(tmp_path, "test", question))


@pytest.mark.parametrize(
    ("row", "texts", "reason"),
    [
        ({**ROWS[0], "input": f"{WIDTH} Please"}, TEST, "question of an unknown form"),
        (ROWS[0], {"rtl/uart.v": UART}, "module is not in the corpus"),
        (ROWS[0], {"a.v": FIFO.replace("[7:0]", "[8:0]"), "b.v": UART}, "excerpt is not in the corpus"),
        (
            asked("input wire clk\n\nWhat is the direction of port clk?", "port_direction", "input", "twice"),
            {"a.v": "module twice(input wire clk, \n input wire clk);\nendmodule\n", "b.v": UART},
            "ambiguous: the excerpt occurs more than once",
        ),
        (
            asked("wire x = 1;\n\nHow wide is x?", "signal_width", "1 bit", "wide"),
            {"a.v": f"module wide;\n{' ' * 70}wire x = 1;\nendmodule\n", "b.v": UART},
            "no passage contains the whole line",
        ),
    ],
)
def test_rows_without_a_right_passage_are_left_out_and_counted(
    tmp_path: Path, row: dict[str, str], texts: dict[str, str], reason: str
) -> None:
    report, _ = made(tmp_path, [row, ROWS[2]], texts)
    assert report["test"] == {"questions": 1, reason: 1}


def test_a_split_without_questions_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="No question about the test split has a right passage"):
        made(tmp_path, [ROWS[3]])
