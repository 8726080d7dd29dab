"""The script ``evaluate``: from a model and test data to the result of a task."""

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.computation import Computation
from tapeout.config.evaluation import TASKS
from tapeout.data.errors import BadRow, NotEnoughData
from tapeout.errors import TapeoutError
from tapeout.evals.answers import InstructionAnswers
from tapeout.evals.likelihood import Window, nats
from tapeout.evals.loaded_model import load
from tapeout.evals.task import ModelFacts, load_task, read_result, write_result
from tapeout.models.finite import NonFinite
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.plugins import module_name
from tapeout.program import StepFailed
from tests.evals.conftest import encoding

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
OPTIONS: dict[str, dict[str, Any]] = {
    "bits_per_byte": {},
    "instruction_answers": {"max_new_tokens": 8, "max_rows": 6, "data": "instructions/rtl"},
    "tests.toys.toy_task": {"rows": 2},
}
FILES = {
    "bits_per_byte": ["domain", "general"],
    "instruction_answers": ["instructions"],
    "tests.toys.toy_task": ["general"],
}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path: Path, verilog: str) -> Path:
    for corpus in ("domain", "general"):
        texts = [f"{corpus} {index}\n{verilog}" for index in range(4)]
        write_rows(
            tmp_path / f"{corpus}.jsonl", [{"text": text, "source": "serv", "digest": digest(text)} for text in texts]
        )
    rows = [{"input": f"Width of q{index}?", "output": "[7:0]", "category": f"c{index % 2}"} for index in range(10)]
    rows.append({"input": verilog * 5, "output": "x", "category": "c2"})
    rows = [{**row, "source": "serv", "licence": "ISC", "digest": digest(row["input"])} for row in rows]
    write_rows(tmp_path / "instructions.jsonl", rows)
    return tmp_path


def evaluate(model: Path, data: Path, task: str, **changed: Any) -> subprocess.CompletedProcess[str]:
    job = {"task": task, "options": OPTIONS[task], "threads": 1, "encoding": encoding().identity(), **changed}
    (data / "params.json").write_text(json.dumps(job))
    command = [sys.executable, "scripts/evaluate.py", "--model", str(model), "--output", str(data / "result.json")]
    command += [item for name in FILES[task] for item in ("--data", str(data / f"{name}.jsonl"))]
    declared = f"{module_name(TASKS, task)},tapeout.models.llama"
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TAPEOUT_PLUGINS=declared)
    return subprocess.run(
        [*command, "--params", str(data / "params.json")], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def score(model: Path, data: Path, task: str) -> Any:
    """Return the result of a task, computed in this process."""
    loaded = load(model, Computation(threads=1), encoding())
    own = load_task(task)
    options = own.options.model_validate(OPTIONS[task])
    files = {name: data / f"{file}.jsonl" for name, file in zip(own.files(options), FILES[task], strict=True)}
    return own.score(loaded, files, options)


def test_result_of_the_script_can_be_read(folder: Path, data: Path) -> None:
    done = evaluate(folder, data, "tests.toys.toy_task")
    assert done.returncode == 0, done.stderr
    facts, result = read_result(data / "result.json", load_task("tests.toys.toy_task").result)
    assert (facts.context, facts.vocabulary) == (64, 320)
    assert result == score(folder, data, "tests.toys.toy_task")


def test_bits_per_byte_has_a_score_per_document(folder: Path, data: Path) -> None:
    result = score(folder, data, "bits_per_byte")
    assert {name: (len(scores.documents), scores.documents_by_source) for name, scores in result.corpora.items()} == {
        "domain": (4, {"serv": 4}),
        "general": (4, {"serv": 4}),
    }


def test_instruction_answers_has_a_score_and_an_answer_per_row(folder: Path, data: Path) -> None:
    result = score(folder, data, "instruction_answers")
    assert (result.rows_in_test, result.left_out, len(result.answers)) == (11, 1, 5)
    assert {answer.category for answer in result.answers} == {"c0", "c1"}
    assert [answer.digest for answer in result.answers] == [score.digest for score in result.answer_scores]
    assert all(1 <= answer.tokens <= 8 for answer in result.answers)
    assert {(answer.source, answer.licence) for answer in result.answers} == {("serv", "ISC")}
    assert all(answer.expected == "[7:0]" and answer.prompt.startswith("Width of q") for answer in result.answers)


def test_the_stored_template_wins(folder: Path, data: Path, tmp_path: Path) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(folder, tuned)
    (tuned / "prompt_template.json").write_text(json.dumps({"template": "Q: {input} A: {output}"}))
    result, plain = (score(model, data, "instruction_answers") for model in (tuned, folder))
    assert (result.template, plain.template) == ("Q: {input} A: {output}", encoding().template)
    assert result.answer_scores[0].nats != plain.answer_scores[0].nats


@pytest.mark.parametrize(
    ("content", "error"),
    [("", NotEnoughData), ("{", BadRow), ('{"text": 3, "digest": "0"}\n', BadRow)],
)
@pytest.mark.parametrize("task", OPTIONS)
def test_bad_data_is_a_named_error(
    folder: Path, data: Path, task: str, content: str, error: type[TapeoutError]
) -> None:
    (data / f"{FILES[task][-1]}.jsonl").write_text(content)
    with pytest.raises(error):
        score(folder, data, task)


def test_a_score_that_is_not_finite_is_a_named_error(tmp_path: Path) -> None:
    """Fault 06: it would be null in JSON."""
    score = {"digest": "d", "category": "c", "tokens": 1, "bytes": 1, "nats": float("nan")}
    whole = {
        "template": "t",
        "rows_in_test": 1,
        "left_out": 0,
        "expected_over_limit": 0,
        "answers": [],
        "turn_scores": [],
    }
    result = InstructionAnswers.model_validate({**whole, "answer_scores": [score]})
    with pytest.raises(NonFinite, match=r"The score result\.answer_scores\.0\.nats is nan"):
        write_result(tmp_path / "r.json", ModelFacts(context=8, parameters=1, vocabulary=8), result)
    assert not (tmp_path / "r.json").exists()


def test_rows_that_do_not_fit_are_a_named_error(folder: Path, data: Path, verilog: str) -> None:
    row = {"input": verilog * 5, "output": "x", "category": "c", "source": "serv", "licence": "ISC", "digest": "0"}
    write_rows(data / "instructions.jsonl", [row])
    with pytest.raises(NotEnoughData, match="None of 1 test rows of instructions/rtl"):
        score(folder, data, "instruction_answers")


def test_bfloat16_gives_nearly_the_likelihoods_of_float32(folder: Path) -> None:
    windows = [Window(0, [1, *range(5, 40)], 1)]
    exact, rounded = (
        nats(load(folder, Computation(threads=1, dtype=dtype), None).network, windows, 1, 64)[0]
        for dtype in ("float32", "bfloat16")
    )
    assert exact != rounded and rounded == pytest.approx(exact, rel=0.01)


def test_a_gpu_that_this_machine_has_not_is_a_named_error(folder: Path) -> None:
    with pytest.raises(StepFailed, match="computes on NVIDIA H0, but the first GPU that PyTorch sees is"):
        load(folder, Computation(gpu_model="NVIDIA H0"), None)


def test_foreign_tokenizer_is_a_named_error(folder: Path, tmp_path: Path) -> None:
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    small = tmp_path / "small"
    model = LlamaForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(100)
    model.save_pretrained(small)
    shutil.copy(folder / "tokenizer.model", small / "tokenizer.model")
    with pytest.raises(UnusableModel, match="only 100 rows"):
        load(small, Computation(threads=1), None)
