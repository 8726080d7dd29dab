"""``tapeout batch`` refuses what is no step of a training; documented commands run it on trainings of the project."""

import pytest
from rich.table import Table

from tapeout.cli.batch import _parts
from tapeout.cli.batch_text import figures, marked
from tapeout.graph.identity.action import Recipe
from tests.cli.conftest import call
from tests.graph.conftest import Project


def test_an_artifact_that_is_not_trained_is_refused(built: Project) -> None:
    code, _, error = call(built, "batch", "model", "--step", "1")
    assert code == 3 and "InvalidUse: model is not trained in NeMo." in error
    code, _, error = call(built, "batch", "model", "--step", "0")
    assert code == 2 and "--step" in error


def test_the_table_has_a_row_for_each_document() -> None:
    recipe = Recipe("sft/model", "sft", "", {}, "nemo", "", {"seq_length": 4}, {})
    source = {"name": "encoded/a/train.jsonl:7", "start": 0, "end": 3, "tokens_with_loss": 2, "text": "one\ntwo"}
    sequence = {"index": 5, "sources": [source], "tokens": [1, 2, 3, 0], "labels": [2, 3, 4, 0], "mask": [0, 1, 1, 0]}
    found = {"step": 2, "rank": 1, "sequences": [sequence], "filled": 0.75, "sets": [], "encoded": {}, "example": []}
    found["learning_rates"] = [[1, 0.5]]
    sentence, _, table, _, share, *_ = _parts("sft/model", recipe, found, trained=True)
    assert sentence == (
        "sft/model, step 2 on rank 1, as it was trained: 1 sequence of 4 tokens; 2 of 4 positions have a loss."
    )
    cells = [list(column.cells) for column in table.columns]
    assert cells[:4] == [["5"], ["encoded/a/train.jsonl:7"], ["0-3"], ["2"]]
    assert share == "75.0 % of the positions of this batch have a token."


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([["Q: a\n", False], ["b c", True]], ["Q: a", "b c", "^^^"]),
        ([["abcdef", False], ["gh", True]], ["abcde", "fgh", " ^^"]),
        ([["a", False], ["b\n", True], ["c", False]], ["ab↵", " ^^", "c"]),
        ([["a\x1b", True]], ["a\N{REPLACEMENT CHARACTER}", "^^"]),
        ([["\n", True]], ["↵", "^", ""]),
    ],
)
def test_marks_stand_below_the_trained_characters(pieces: list[tuple[str, bool]], lines: list[str]) -> None:
    assert marked(pieces, 5) == lines


def test_the_figures_of_a_training() -> None:
    dropped = {"longer than seq_length": {"count": 3, "first": []}, "no answer": {"count": 1, "first": []}}
    found = {
        "filled": 1.0,
        "sets": [
            {"name": "encoded/a/train.jsonl", "tokens": 1234, "trained": 56, "passes": 2.5},
            {"name": "encoded/b/train.jsonl", "tokens": 7, "trained": 1, "passes": 2.5},
        ],
        "encoded": {"a": {"dropped": dropped, "shortened": 2}, "b": {"dropped": {}}},
        "learning_rates": [[1, 0.5], [2, 1.0], [3, 0.0]],
    }
    _, share, _, table, *reasons, _, title, _, top, _, _, _, _, bottom, _, _ = figures(found)
    assert share == "100.0 % of the positions of this batch have a token."
    assert isinstance(table, Table)
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert rows == [
        ("encoded/a", "1,234", "56", "2.50", "4", "2"),
        ("encoded/b", "7", "1", "2.50", "0", "0"),
    ]
    assert title == "Learning rate by step:" and top.startswith("1 |") and bottom.startswith("0 |")
    assert "*" in top and "*" in bottom
    assert reasons == ["a: 3 rows dropped, longer than seq_length", "a: 1 row dropped, no answer"]
