"""Fine-tuning of an embedding model: examples, batches, equal bytes, and a loss that falls."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tapeout.config.embedder_tuning import TuningJob
from tapeout.data.errors import NotEnoughData
from tapeout.retrieval.embedder import check_embedder
from tapeout.retrieval.passages import Passage
from tapeout.retrieval.question import Question
from tapeout.retrieval.tuning import Example, batches, examples_of, tune
from tests.retrieval.material import tiny_embedder

pytestmark = pytest.mark.environment("serve")
ROOT = Path(__file__).parents[2]
NAMES = ("fifo", "uart", "cache", "timer", "alu", "dma", "gpio", "spi")
JOB = TuningJob(batch_size=4, epochs=6, lr=5e-3, max_tokens=64, threads=1)


def passage(number: int, text: str) -> Passage:
    return Passage(text, f"{number:016}" * 4, "core", f"{number}.v", 0, len(text), "ISC")


PASSAGES = [passage(number, f"module {name} (input {name}_in);") for number, name in enumerate(NAMES)]
QUESTIONS = [
    Question(f"In the module {name}: How wide is {name}_in?", "signal_width", "core", name, (found.id,))
    for name, found in zip(NAMES, PASSAGES, strict=True)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_embedder(tmp_path_factory.mktemp("models") / "tiny")


def test_hard_negatives_are_the_wrong_passages_that_bm25_ranks_first() -> None:
    passages = [*PASSAGES, passage(8, "the module uart of the test: how wide is uart_in?"), passage(9, "nothing")]
    examples = {example.question.module: example for example in examples_of(QUESTIONS, passages, JOB)}
    assert examples["uart"].right == 1 and examples["uart"].wrong == (8,)
    assert all(example.right not in example.wrong and len(example.wrong) == 1 for example in examples.values())
    both = QUESTIONS[1]._replace(passages=(PASSAGES[1].id, passages[8].id))
    (example,) = examples_of([both], passages, TuningJob(hard_negatives=2))
    assert example.right == 1 and 8 not in example.wrong and len(example.wrong) == 2


def test_questions_are_chosen_by_digest() -> None:
    few = examples_of(list(reversed(QUESTIONS)), PASSAGES, TuningJob(max_pairs=3))
    assert [example.question.digest for example in few] == sorted(question.digest for question in QUESTIONS)[:3]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=2, max_size=30), st.integers(2, 6))
def test_no_passage_of_a_batch_is_right_for_two_questions(pairs: list[tuple[int, int]], size: int) -> None:
    examples = [Example(QUESTIONS[right], right, (wrong,)) for right, wrong in pairs if right != wrong]
    made = list(batches(examples, PASSAGES, size, "1 0"))
    assert made == list(batches(examples, PASSAGES, size, "1 0"))
    used = [example for batch in made for example in batch]
    assert all(used.count(example) <= examples.count(example) for example in used)
    for batch in made:
        assert 1 < len(batch) <= size
        for one in batch:
            assert not any(one.right in (other.right, *other.wrong) for other in batch if other is not one)


def test_two_trainings_write_equal_bytes_and_the_loss_falls(model: Path, tmp_path: Path) -> None:
    tune(model, QUESTIONS, PASSAGES, JOB, tmp_path / "one")
    program = (
        "import sys; from pathlib import Path; from tests.retrieval.test_tuning import *;"
        "tune(Path(sys.argv[1]), QUESTIONS, PASSAGES, JOB, Path(sys.argv[2]))"
    )
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", program, str(model), str(tmp_path / "two")]
    subprocess.run(command, env=variables, check=True, timeout=300)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*") if path.is_file()
    )
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    steps = json.loads((tmp_path / "one/train_log.json").read_text())["steps"]
    assert len(steps) == 12 and sum(step["loss"] for step in steps[-2:]) < sum(step["loss"] for step in steps[:2])
    check_embedder(tmp_path / "one")
    before, after = load_file(model / "model.safetensors"), load_file(tmp_path / "one/model.safetensors")
    assert before.keys() == after.keys() and {name: w.dtype for name, w in before.items()} == {
        name: w.dtype for name, w in after.items()
    }
    assert any(not weight.equal(after[name]) for name, weight in before.items())
    assert (tmp_path / "one/config.json").read_bytes() == (model / "config.json").read_bytes()


def test_another_seed_gives_other_weights(model: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        tune(model, QUESTIONS, PASSAGES, JOB.model_copy(update={"seed": seed, "epochs": 1}), tmp_path / str(seed))
    one, two = ((tmp_path / str(seed) / "model.safetensors").read_bytes() for seed in (1, 2))
    assert one != two


def test_one_passage_for_all_questions_is_a_named_error(model: Path, tmp_path: Path) -> None:
    same = [question._replace(passages=(PASSAGES[0].id,)) for question in QUESTIONS]
    with pytest.raises(NotEnoughData, match="No two training questions"):
        tune(model, same, PASSAGES, JOB, tmp_path / "none")
