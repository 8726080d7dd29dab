"""The seam to the real NeMo: one process does the work (tests/nemo/journey.py), every test reads one of its results."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tapeout.nemo.read import UnreadableModel, checkpoint_tensors, load_llama, tokenizer_path
from transformers import AutoTokenizer, LlamaForCausalLM

from tapeout.data.encode.prompt import prompt_text
from tests.nemo.material import content

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the finished journey."""
    folder = tmp_path_factory.mktemp("journey")
    (folder / "tmp").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), "SLURM_NTASKS": "4"}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, ROOT / "tests/nemo/journey.py", folder],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-8000:]
    return folder


@pytest.fixture(scope="module")
def results(place: Path) -> dict[str, Any]:
    """What the journey wrote down."""
    answer: dict[str, Any] = json.loads((place / "results.json").read_text())
    return answer


def test_two_imports_in_two_folders_are_one_archive(place: Path) -> None:
    assert (place / "one/base.nemo").read_bytes() == (place / "two/base.nemo").read_bytes()


def test_nothing_names_a_place_of_this_machine(place: Path) -> None:
    for model in (place / "unpacked", place / "micro4/model", place / "export"):
        for name, (_, data) in content(model).items():
            assert str(place).encode() not in data, name


def test_reading_without_nemo_gives_nemos_logits(results: dict[str, Any]) -> None:
    assert results["read"] < 1e-5
    assert results["source"] == 0.0


def test_two_trainings_in_two_folders_are_the_same_bytes(place: Path) -> None:
    assert content(place / "micro4/model").keys() - content(place / "again/model").keys() == {"prompt_template.json"}
    for name, data in content(place / "again/model").items():
        assert content(place / "micro4/model")[name] == data, name


def test_training_changes_every_tensor(place: Path) -> None:
    before, after = checkpoint_tensors(place / "unpacked"), checkpoint_tensors(place / "micro4/model")
    assert before.keys() == after.keys()
    assert not [name for name in before if torch.equal(before[name], after[name])]


def test_the_micro_batch_does_not_matter(results: dict[str, Any], place: Path) -> None:
    four, one = results["micro4"], results["micro1"]
    assert [step["tokens"] for step in four["steps"]] == [step["tokens"] for step in one["steps"]]
    assert len({b["tokens"] - a["tokens"] for a, b in zip(four["steps"], four["steps"][1:], strict=False)}) > 1
    for a, b in zip(four["steps"], one["steps"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-5)
    first, second = checkpoint_tensors(place / "micro4/model"), checkpoint_tensors(place / "micro1/model")
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-3


def test_packed_rows_do_not_see_each_other(results: dict[str, Any]) -> None:
    together, alone = results["micro4"]["validation"], results["micro4 alone"]["validation"]
    assert [entry["step"] for entry in together] == [3, 6]
    for a, b in zip(together, alone, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)


def test_training_learns_and_warms_up(results: dict[str, Any]) -> None:
    steps = results["dapt"]["steps"]
    assert [step["step"] for step in steps] == list(range(1, 21))
    assert steps[-1]["loss"] < 0.8 * steps[0]["loss"]
    rates = [step["learning_rate"] for step in steps]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(0.02) and rates[-1] < rates[5]
    assert results["dapt"]["tokens"] == 20 * 4 * 64


def test_the_number_of_threads_is_the_parameters(results: dict[str, Any]) -> None:
    assert results["micro4 threads"] == 1


def test_export_is_the_same_model(place: Path) -> None:
    exported = LlamaForCausalLM.from_pretrained(place / "export").state_dict()
    read = load_llama(place / "micro4/model").state_dict()
    assert exported.keys() == read.keys()
    assert not [name for name in read if not torch.equal(read[name], exported[name])]
    assert json.loads((place / "export/parity.json").read_text())["largest_difference"] < 1e-5


def test_the_exported_chat_template_is_the_prompt(place: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(place / "export", use_fast=False)
    question = 'module "m" (input {x});'
    text = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False)
    assert text == "<s>" + prompt_text("{input}\n### Answer: {output}", question)
    answered = [{"role": "user", "content": question}, {"role": "assistant", "content": "yes"}]
    assert tokenizer.apply_chat_template(answered, tokenize=False) == text + "yes</s>"


def test_what_is_no_model_is_named(tmp_path: Path, place: Path) -> None:
    for wanted in (load_llama, tokenizer_path):
        with pytest.raises(UnreadableModel):
            wanted(tmp_path)
    assert tokenizer_path(place / "unpacked").read_bytes() == tokenizer_path(place / "export").read_bytes()
