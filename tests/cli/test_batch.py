"""``tapeout batch`` refuses what is no step of a training; documented commands run it on trainings of the project."""

from tapeout.cli.batch import _parts
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
    sentence, _, table = _parts("sft/model", recipe, {"step": 2, "rank": 1, "sequences": [sequence]}, trained=True)
    assert sentence == (
        "sft/model, step 2 on rank 1, as it was trained: 1 sequence of 4 tokens; 2 of 4 positions have a loss."
    )
    cells = [list(column.cells) for column in table.columns]
    assert cells[:4] == [["5"], ["encoded/a/train.jsonl:7"], ["0-3"], ["2"]]
