"""Questions about paragraphs: SQuAD v1.1, v2.0, XQuAD, nested and flat (faults F69, F71)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.data.errors import BadRow, InvalidTemplate
from tapeout.data.instructions.formats.squad import Options, rendered, rows
from tapeout.data.instructions.report import ImportReport
from tests.data.instructions.material import TEMPLATE, contents, write_lines

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
CONTEXT = "The Ångström unit is {0.1} nm.\n It is named after Anders  Ångström."


def question(text: str, answer: str = "Anders", **more: Any) -> dict[str, Any]:
    return {
        "id": text,
        "question": text,
        "answers": [{"text": answer, "answer_start": CONTEXT.index(answer)}] if answer else [],
        **more,
    }


def squad(*questions: Any) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [{"title": "Units", "paragraphs": [{"context": CONTEXT, "qas": list(questions)}]}],
    }


def write(folder: Path, whole: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dev.json").write_text(json.dumps(whole))
    return folder


def test_the_row_states_where_context_and_answer_are_in_the_prompt(tmp_path: Path) -> None:
    (row,), report = contents(write(tmp_path / "a", squad(question("Who {context} ?"))), "squad")
    assert row["input"] == f"Instruction: {CONTEXT}\nInput: Who {{context}} ?\nResponse:\n"
    assert row["input"][slice(*row["context"])] == CONTEXT
    assert row["input"][slice(*row["answer"])] == "Anders" == row["output"]
    assert (row["group"], row["category"]) == ("Units", "question_answering")
    assert report.read == {"files": 1, "articles": 1, "paragraphs": 1, "questions": 1}


def test_the_default_template_is_that_of_alpaca() -> None:
    text = (ROOT / "config" / "templates" / "alpaca_squad.txt").read_text()
    assert text == (
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n### Instruction:\n{context}\n\n### Input:\n{question}"
        "\n\n### Response:\n"
    )


def test_version_2_and_several_answers(tmp_path: Path) -> None:
    several = question("Which?") | {"answers": question("")["answers"] + question("", "nm")["answers"]}
    folder = write(tmp_path / "a", squad(several, question("Why?", "", is_impossible=True)))
    (row,), report = contents(folder, "squad")
    assert row["output"] == "Anders" and row["accepted"] == ["Anders", "nm"]
    assert report.dropped == {"question without answer": 1}
    assert report.read["questions with several answers, of which the first is trained on"] == 1
    rows, _ = contents(folder, "squad", impossible="answer", impossible_answer="Unknown.")
    assert rows[1]["output"] == "Unknown." and rows[1]["answer"] is None and rows[1]["category"] == "impossible"


def test_nested_and_flat_files_give_the_same_rows(tmp_path: Path) -> None:
    nested, _ = contents(write(tmp_path / "a", squad(question("Who?"))), "squad")
    start = CONTEXT.index("Anders")
    flat = {"id": "1", "title": "Units", "context": CONTEXT, "question": "Who?"}
    answers = {"text": ["Anders"], "answer_start": [start]}
    assert contents(write_lines(tmp_path / "b", [{**flat, "answers": answers}]), "squad")[0] == nested
    for name, ends in (("c", "\r\n"), ("d", "\r")):  # line ends of Windows are not learnt, and move the answer
        windows = {**flat, "context": CONTEXT.replace("\n", ends), "answers": {**answers}}
        windows["answers"]["answer_start"] = [windows["context"].index("Anders")]
        assert contents(write_lines(tmp_path / name, [windows]), "squad")[0] == nested


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (question("Who?") | {"answers": [{"text": "Anders", "answer_start": 3}]}, "not at its answer_start"),
        (question("Who?") | {"answers": [{"text": "Anders", "answer_start": -1}]}, "greater than or equal to 0"),
        (question("Who?") | {"answers": [{"text": "Anders", "answer_start": "3"}]}, "is not a whole number"),
        (question("Who?") | {"answers": [{"text": "Anders", "answer_start": True}]}, "is not a whole number"),
        (
            question("Who?") | {"answers": [{"text": " ", "answer_start": 3}]},
            "field 'text' of an item of answers is empty",
        ),
        (question("Who?") | {"answers": [{"text": 308, "answer_start": 3}]}, "is not a text"),
        (question("Who?") | {"answers": "Anders"}, "is not a list"),
        (question("Who?") | {"answers": ["Anders"]}, "an item of answers is not an object"),
        (question("Who?", is_impossible=True), "contradict"),
        (question("  "), "is empty"),
        ({"question": "Who?"}, "has no field 'answers'"),
        ("Who?", "an item of data.paragraphs.qas is not an object"),
    ],
)
def test_a_bad_question_stops_or_is_dropped(tmp_path: Path, broken: Any, words: str) -> None:
    folder = write(tmp_path / "a", squad(broken, question("Who is it?")))
    with pytest.raises(BadRow, match=words):
        contents(folder, "squad")
    rows, report = contents(folder, "squad", bad_rows="drop")
    # a question that is not an object drops the file, whose structure is then in doubt
    assert len(rows) == (0 if isinstance(broken, str) else 1) and report.dropped.total() == 1


@pytest.mark.parametrize("whole", [[], {}, {"data": 1}, {"data": [1]}, {"data": [{"title": "x"}]}, {"data": [{}]}, "x"])
def test_a_file_that_is_not_squad(tmp_path: Path, whole: Any) -> None:
    folder = write(tmp_path / "a", whole)
    if whole != []:
        with pytest.raises(BadRow):
            contents(folder, "squad")
    rows, report = contents(folder, "squad", bad_rows="drop")
    assert not rows and report.dropped.total() == 1


@pytest.mark.parametrize("template", ["{context}", "{question}", "{context}{context}{question}", ""])
def test_templates_that_lack_a_field(template: str) -> None:
    options = Options(format="squad", template=template)
    with pytest.raises(InvalidTemplate):
        list(rows([], options, ImportReport("stop")))


@given(st.text(), st.text(), st.sampled_from([TEMPLATE, "Q {question}: {context}", "{question}{context}"]))
def test_fields_are_filled_in_unchanged(context: str, asked: str, template: str) -> None:
    text, start = rendered(template, context, asked)
    assert text[start : start + len(context)] == context
    assert len(text) == len(template) - len("{context}{question}") + len(context) + len(asked)
