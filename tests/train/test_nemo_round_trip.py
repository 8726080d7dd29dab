"""Import, training and export in NeMo: one process does the work (nemo_round_trip.py), each test reads a result."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from tapeout.config.serving import ServedModel
from tapeout.config.sft import Sft
from tapeout.data.encode.prompt import TEMPLATE_FILE, prompt_text
from tapeout.encoder.load import load_encoder
from tapeout.graph.identity.environment import read_environment
from tapeout.guard.inspection import inspect_model
from tapeout.models.tokenizer_file import UnusableModel, tokenizer_path
from tapeout.nemo.checkpoint import checkpoint_tensors, load_model
from tests.nemo.process import run_program
from tests.nemo.tiny_model import TEMPLATE, folder_content
from tests.serve.material import running
from tests.train.byte_level_round_trip import PLANTED, PLANTED_COPIES
from tests.train.nemo_round_trip import CURVE

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the finished round trip."""
    return run_program("train.nemo_round_trip", tmp_path_factory, imported=(), SLURM_NTASKS="4")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """Return what the round trip measured."""
    answer: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return answer


def test_two_imports_in_two_folders_write_the_same_archive(folder: Path) -> None:
    assert (folder / "one/base.nemo").read_bytes() == (folder / "two/base.nemo").read_bytes()


def test_an_archive_of_our_own_is_described_and_accepted(folder: Path, tmp_path: Path) -> None:
    found = inspect_model(folder / "one/base.nemo", tmp_path)
    assert (found.problems, found.kind) == ({}, "archive with a NeMo-2 checkpoint")
    assert (found.architecture["hidden_size"], found.architecture["num_layers"]) == (32, 2)
    assert found.totals()["float32"]["tensors"] == len(checkpoint_tensors(folder / "unpacked"))
    assert inspect_model(folder / "export", tmp_path).problems == {}


def test_no_file_contains_a_path_of_this_machine(folder: Path) -> None:
    for model in (folder / "unpacked", folder / "micro4/model", folder / "export"):
        for name, (_, data) in folder_content(model).items():
            assert str(folder).encode() not in data, name


def test_a_checkpoint_read_without_nemo_has_the_logits_of_nemo(results: dict[str, Any]) -> None:
    assert results["nemo"] < 1e-5
    assert results["source"] == 0.0


def test_two_trainings_in_two_folders_write_the_same_bytes(results: dict[str, Any], folder: Path) -> None:
    """Processes read ahead in the second one."""
    assert results["no number"] == "TAPEOUT_DATA_WORKERS is 'two', not a number of processes."
    assert results["micro4"] == results["again"]
    assert folder_content(folder / "micro4/model").keys() - folder_content(folder / "again/model").keys() == {
        "prompt_template.json"
    }
    for name, data in folder_content(folder / "again/model").items():
        assert folder_content(folder / "micro4/model")[name] == data, name


def test_a_training_starts_no_process_that_a_kill_would_leave_behind(results: dict[str, Any]) -> None:
    """Megatron's writers of the last step would wait for a dead process for ever."""
    assert results["forks"] == 0


def test_training_changes_every_tensor(folder: Path) -> None:
    before, after = checkpoint_tensors(folder / "unpacked"), checkpoint_tensors(folder / "micro4/model")
    assert before.keys() == after.keys()
    assert not [name for name in before if torch.equal(before[name], after[name])]


def test_the_micro_batch_changes_only_the_last_bits(results: dict[str, Any], folder: Path) -> None:
    four, one = results["micro4"], results["micro1"]
    assert [step["tokens"] for step in four["steps"]] == [step["tokens"] for step in one["steps"]]
    assert len({b["tokens"] - a["tokens"] for a, b in zip(four["steps"], four["steps"][1:], strict=False)}) > 1
    for a, b in zip(four["steps"], one["steps"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=2e-5)
    first, second = checkpoint_tensors(folder / "micro4/model"), checkpoint_tensors(folder / "micro1/model")
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-3


def test_compiled_layers_that_are_recomputed_change_nothing(results: dict[str, Any]) -> None:
    assert results["compiled graphs"] > 0
    for a, b in zip(results["compiled"]["steps"], results["micro4"]["steps"][:2], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-6)


def test_packed_rows_do_not_see_each_other(results: dict[str, Any]) -> None:
    packed, unpacked = results["micro4"]["validation"], results["micro4 unpacked"]["validation"]
    assert [entry["step"] for entry in packed] == [3, 6]
    for a, b in zip(packed, unpacked, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)


def test_training_learns_and_warms_up(results: dict[str, Any]) -> None:
    steps = results["dapt"]["steps"]
    assert [step["step"] for step in steps] == list(range(1, CURVE + 1))
    assert steps[-1]["loss"] < 0.8 * steps[0]["loss"]
    rates = [step["learning_rate"] for step in steps]
    assert rates[:6] == sorted(rates[:6]) and rates[5] == pytest.approx(0.01)
    assert rates[5] > rates[6] > rates[-1]
    assert results["dapt"]["tokens"] == CURVE * 4 * 64


@pytest.mark.parametrize("name", ["dapt", "sft"])
def test_the_curve_is_that_of_a_plain_loop(results: dict[str, Any], name: str) -> None:
    """Known answer: PyTorch and transformers, each packed row alone; 1e-6 was seen."""
    steps, plain = results[name]["steps"], results[f"{name} plain"]
    assert len(steps) == CURVE and steps[-1]["loss"] < 0.5 * steps[0]["loss"]
    assert [step["learning_rate"] for step in steps] == pytest.approx(plain["rates"], rel=1e-12)
    assert steps[0]["loss"] == pytest.approx(plain["losses"][0], abs=1e-5)
    assert [step["loss"] for step in steps] == pytest.approx(plain["losses"], abs=1e-4)
    assert plain["weights"] < 1e-4


def test_dapt_has_the_gradients_of_a_plain_loop(results: dict[str, Any]) -> None:
    plain = results["dapt plain"]
    assert plain["largest_gradient"] > 0.1 and max(plain["gradients"].values()) < 1e-6


def test_sft_prompt_and_response(results: dict[str, Any], folder: Path) -> None:
    """Known answer of the row: the masked cross-entropy of transformers, in micro-batches of 1, 2 and 4.

    A plain loop computes each packed row alone.
    """
    plain = results["sft plain"]
    assert results["sft"]["steps"][0]["loss"] == pytest.approx(plain["losses"][0], abs=1e-5)
    assert plain["gradients"].keys() == {"micro1", "sft", "micro4"} and plain["largest_gradient"] > 0.1
    assert max(plain["gradients"].values()) < 1e-6
    stored = json.loads((folder / "micro4/model" / TEMPLATE_FILE).read_bytes())
    assert stored == {"template": Sft().template}


@pytest.mark.parametrize(("run", "name"), [("micro4", "sft"), ("dapt", "dapt")])
def test_the_batches_that_are_shown_are_those_of_the_training(results: dict[str, Any], run: str, name: str) -> None:
    assert results[f"{name} shown"] == results[f"{run} seen"] and len(results[f"{run} seen"]) > 20
    assert all(source["tokens_with_loss"] > 0 and source["text"].strip() for source in results[f"{name} sources"])


def test_a_loss_spike_is_located_at_its_document(results: dict[str, Any]) -> None:
    (spike,) = results["planted"]["spikes"]
    assert results["planted steps"] == [spike["step"]]
    assert "corpus/domain/planted.jsonl:241" in spike["documents"] and spike["rank"] == 0
    assert spike["micro_batch_loss"] >= spike["loss"] > 1.1 * spike["median"]
    assert "spikes" not in results["dapt"], "the log of a training without spikes stays as it was"


def test_a_number_that_is_not_finite_stops_the_training(results: dict[str, Any], folder: Path) -> None:
    """Fault 06: with the step, the rank and the rows of its batch, and without a model."""
    assert re.match(r"The loss of step 2 is nan on rank 0; its batch has encoded/", results["loss"])
    assert re.search(r" encoded/encoded/train\.jsonl:\d+,", results["loss"])
    assert re.match("After step 1, the last one, the weights .* are not finite", results["last step"])
    assert not [name for name in ("loss", "last step") if (folder / name / "model").exists()]


def test_the_number_of_threads_is_that_of_the_job(results: dict[str, Any]) -> None:
    assert results["micro4 threads"] == 1


def test_export_is_the_same_model(folder: Path) -> None:
    exported = LlamaForCausalLM.from_pretrained(folder / "export").state_dict()
    read = load_model(folder / "micro4/model").state_dict()
    assert exported.keys() == read.keys()
    assert not [name for name in read if not torch.equal(read[name], exported[name])]
    assert json.loads((folder / "export/parity.json").read_text())["largest_difference"] < 1e-5


def test_the_export_counts_the_prompts_and_texts_with_equal_ids(folder: Path) -> None:
    counts = json.loads((folder / "export/parity.json").read_text())["token_ids"]
    slow = {"prompts": 12, "prompts_with_reserved_names": 0}
    assert counts == {"slow": slow, "fast": {**slow, "texts": 1, "texts_with_reserved_names": 0}}
    tokenizer = AutoTokenizer.from_pretrained(folder / "export")
    prompt = [1, *load_encoder(folder / "export").encode(prompt_text(TEMPLATE, " x  y"))]
    assert tokenizer.apply_chat_template([{"role": "user", "content": " x  y"}]) == prompt
    generation = json.loads((folder / "export/generation_config.json").read_text())
    assert generation == {"bos_token_id": 1, "do_sample": False, "eos_token_id": 2}


def test_an_added_piece_from_the_corpus_to_an_answer_of_the_server(
    results: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """Known answer of the row: a planted piece is read, batched and trained, and the exported model generates it.

    One step of the server's gives its whole text, for which the base tokenizer has no piece. A piece that no text has
    is in no file, and its rows get no gradient but the output's, from the softmax. The tokenizer is byte-level.
    """
    measured, export = results["byte_level"], folder / "byte_level/export"
    planted, unused = measured["size"] - 2, measured["size"] - 1
    assert measured[".bin"].count(planted) == PLANTED.count("qz") * PLANTED_COPIES and unused not in measured[".bin"]
    assert max(batch.count(planted) for batch in measured["batches"]) > 10
    assert not any(unused in batch for batch in measured["batches"])
    embedding, output = (measured["gradients"][name] for name in ("model.embed_tokens.weight", "lm_head.weight"))
    assert embedding[0] > 0.01 and embedding[1] == 0 and output[0] > 10 * output[1] > 0
    before, after = (torch.tensor(measured["rows"][name]) for name in ("imported", "dapt"))
    assert not torch.equal(before[0], after[0]) and torch.allclose(before[1], after[1], atol=0.02)
    assert float((before[0] - after[0]).norm()) > 3 * float((before[1] - after[1]).norm())
    assert planted in measured["generated"], "it was learnt"
    assert json.loads((export / "tokenizer.json").read_text())["model"]["vocab"]["qz"] == planted
    python = str(read_environment("serve").python)
    with running(tmp_path, ServedModel(name="export/hf", folder=str(export)), python, max_tokens=2) as server:
        _, _, tokens = server.post("/tokenize", {"prompt": "valid qz"})
        _, _, answer = server.post("/v1/completions", {"prompt": f"{PLANTED}valid ", "max_tokens": 1})
    assert tokens["tokens"][-1] == planted
    assert answer["choices"][0]["text"] == "qz" and answer["usage"]["completion_tokens"] == 1


def test_an_export_with_a_byte_level_tokenizer(results: dict[str, Any], folder: Path) -> None:
    measured, export = results["byte_level"], folder / "byte_level" / "export"
    assert measured["ids"] == {"sft": measured["expected"], "export": measured["expected"]}
    assert measured["difference"] == 0.0
    parity = json.loads((export / "parity.json").read_text())
    assert parity["largest_difference"] < 1e-4
    slow = {"prompts": 2, "prompts_with_reserved_names": 2}
    assert parity["token_ids"] == {"slow": slow, "fast": {**slow, "texts": 5, "texts_with_reserved_names": 2}}
    assert measured["report"]["rows"] == 2  # the other one has the name of a control piece, as text
    tokenizer, encoder = AutoTokenizer.from_pretrained(export), load_encoder(export)
    assert json.loads((export / "generation_config.json").read_text()) == {
        "bos_token_id": encoder.bos,
        "do_sample": False,
        "eos_token_id": encoder.control_pieces["<|eot_id|>"],
    }
    assert tokenizer("qz").input_ids == [encoder.bos, measured["size"] - 2]
    assert set(tokenizer("qz")) == {"input_ids", "attention_mask"}
    assert not (export / "tokenizer.model").exists()


def test_a_folder_without_a_model_is_an_error(tmp_path: Path, folder: Path) -> None:
    for function in (load_model, tokenizer_path):
        with pytest.raises(UnusableModel):
            function(tmp_path)
    assert tokenizer_path(folder / "unpacked").read_bytes() == tokenizer_path(folder / "export").read_bytes()
