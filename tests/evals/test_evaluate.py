"""The program from files to file."""

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.evaluation import EvaluationParameters
from tapeout.data.io.jsonl import MalformedRow
from tapeout.errors import TapeoutError
from tapeout.evals.measure import NothingFits, VocabularyMismatch, evaluate
from tapeout.evals.result import Evaluation, read_evaluation, write_evaluation
from tapeout.evals.rows import EmptyTestSet

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
PARAMETERS: dict[str, Any] = {
    "template": "{input}\n### Answer: {output}",
    "max_new_tokens": 8,
    "max_rows": 6,
    "threads": 1,
}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path: Path, verilog: str) -> Path:
    for corpus in ("domain", "general"):
        texts = [f"{corpus} {index}\n{verilog}" for index in range(4)]
        write_rows(tmp_path / f"{corpus}.jsonl", [{"text": text, "digest": digest(text)} for text in texts])
    rows = [{"input": f"Width of q{index}?", "output": "[7:0]", "category": f"c{index % 2}"} for index in range(10)]
    rows.append({"input": verilog * 5, "output": "x", "category": "c2"})
    rows = [{**row, "source": "serv", "licence": "ISC", "digest": digest(row["input"])} for row in rows]
    write_rows(tmp_path / "instructions.jsonl", rows)
    (tmp_path / "params.json").write_text(json.dumps(PARAMETERS))
    return tmp_path


def run_program(model: Path, data: Path, output: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/evaluate.py", "--model", str(model), "--output", str(data / output)]
    for name in ("domain", "general", "instructions"):
        command += [f"--{name}", str(data / f"{name}.jsonl")]
    command += ["--params", str(data / "params.json")]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def measure(model: Path, data: Path) -> Evaluation:
    files = (data / f"{name}.jsonl" for name in ("domain", "general", "instructions"))
    return evaluate(model, *files, EvaluationParameters(**PARAMETERS))


def test_result_is_complete_and_repeatable(folder: Path, data: Path) -> None:
    done = run_program(folder, data, "one.json")
    assert done.returncode == 0, done.stderr
    written = (data / "one.json").read_bytes()
    write_evaluation(measure(folder, data), data / "two.json")
    assert written == (data / "two.json").read_bytes()
    result = json.loads(written)
    assert list(result) == sorted(result)
    assert len(result["domain"]["documents"]) == 4 == result["general"]["documents_in_corpus"]
    assert (result["rows_in_test"], result["left_out"], len(result["answers"])) == (11, 1, 5)
    assert {answer["category"] for answer in result["answers"]} == {"c0", "c1"}
    assert [answer["digest"] for answer in result["answers"]] == [score["digest"] for score in result["answer_scores"]]
    assert all(1 <= answer["tokens"] <= 8 for answer in result["answers"])
    assert {(answer["source"], answer["licence"]) for answer in result["answers"]} == {("serv", "ISC")}
    kept = [answer["kept"] for answer in result["answers"] if answer["kept"]]
    assert len(kept) == 4 and all(each["expected"] == "[7:0]" for each in kept)


def test_result_is_read_back(folder: Path, data: Path) -> None:
    result = measure(folder, data)
    write_evaluation(result, data / "result.json")
    assert read_evaluation(data / "result.json") == result


def test_stored_template_wins(folder: Path, data: Path, tmp_path: Path) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(folder, tuned)
    (tuned / "prompt_template.json").write_text(json.dumps({"template": "Q: {input} A: {output}"}))
    result, plain = measure(tuned, data), measure(folder, data)
    assert (result.template, plain.template) == ("Q: {input} A: {output}", PARAMETERS["template"])
    assert result.answer_scores[0].nats != plain.answer_scores[0].nats
    assert result.domain == plain.domain


@pytest.mark.parametrize(
    ("content", "error"),
    [("", EmptyTestSet), ("{", MalformedRow), ('{"text": 3, "digest": "0"}\n', MalformedRow)],
)
@pytest.mark.parametrize("name", ["domain", "general", "instructions"])
def test_bad_data_is_a_named_error(
    folder: Path, data: Path, name: str, content: str, error: type[TapeoutError]
) -> None:
    (data / f"{name}.jsonl").write_text(content)
    with pytest.raises(error):
        measure(folder, data)


def test_rows_that_do_not_fit_are_a_named_error(folder: Path, data: Path, verilog: str) -> None:
    row = {"input": verilog * 5, "output": "x", "category": "c", "source": "serv", "licence": "ISC", "digest": "0"}
    write_rows(data / "instructions.jsonl", [row])
    with pytest.raises(NothingFits, match="None of 1 instruction rows"):
        measure(folder, data)


def test_foreign_tokenizer_is_a_named_error(folder: Path, data: Path, tmp_path: Path) -> None:
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    small = tmp_path / "small"
    model = LlamaForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(100)
    model.save_pretrained(small)
    shutil.copy(folder / "tokenizer.model", small / "tokenizer.model")
    with pytest.raises(VocabularyMismatch, match="only 100 rows"):
        measure(small, data)


def test_unknown_parameter_is_a_named_error(folder: Path, data: Path) -> None:
    (data / "params.json").write_text(json.dumps({**PARAMETERS, "beams": 4}))
    done = run_program(folder, data, "out.json")
    assert done.returncode == 1 and "StepFailed" in done.stderr and "beams" in done.stderr
    assert not (data / "out.json").exists()
