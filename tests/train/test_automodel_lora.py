"""AutoModel + LoRA on SQuAD: the known answers of that row, and the faults of its document."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from tapeout.config.automodel_lora import AutomodelLora
from tapeout.config.learning_rate import learning_rate
from tapeout.data.errors import BadRow
from tapeout.graph.identity.environment import read_environment
from tapeout.models.adapter import merge_adapter
from tapeout.train.automodel_batches import stack, weighted_loss
from tapeout.train.launch import single_rank
from tapeout.train.methods.automodel_lora import data
from tapeout.train.samples import Sample
from tests.nemo.process import run_program
from tests.nemo.tiny_model import folder_content
from tests.train.automodel_trainings import COMMON, TRAININGS, logits, prompt

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
PEFT = """
import sys
import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

base, adapter, ids, result = sys.argv[1:]
model = LlamaForCausalLM.from_pretrained(base)
loaded = PeftModel.from_pretrained(model, adapter).eval()
with torch.no_grad():
    computed = loaded(input_ids=torch.load(ids)).logits
names = sorted(loaded.state_dict())
merged = loaded.merge_and_unload()
torch.save({"logits": computed, "merged": merged.state_dict(), "names": names}, result)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of automodel_trainings.py."""
    return run_program("train.automodel_trainings", tmp_path_factory, timeout=1700)


@pytest.fixture(scope="module")
def base(folder: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder / "base").eval()


def log(folder: Path, name: str = "one") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name / "train_log.json").read_bytes())
    return content


def adapter(folder: Path, name: str = "one") -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(folder / name / "adapter_model.safetensors")
    return tensors


def by_peft(folder: Path, name: str, result: Path) -> dict[str, Any]:
    """Return what the library PEFT computes with an adapter; it is installed in an environment of its own."""
    peft = ROOT / read_environment("peft", ROOT).folder / "lib/python3.11/site-packages"
    torch.save(prompt(), result / "ids.pt")
    arguments = [folder / "base", folder / name, result / "ids.pt", result / "peft.pt"]
    subprocess.run(
        [sys.executable, "-c", PEFT, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(peft), "HF_HUB_OFFLINE": "1"},
        check=True,
    )
    found: dict[str, Any] = torch.load(result / "peft.pt")
    return found


def rows(folder: Path, split: str) -> list[dict[str, list[int]]]:
    return [json.loads(line) for line in (folder / "encoded" / f"{split}.jsonl").open()]


def loss_of_rows(model: Any, rows: list[dict[str, list[int]]]) -> float:
    """Return transformers' cross-entropy of the tokens with mask 1; each row is computed alone, without padding."""
    total, tokens = 0.0, 0
    for row in rows:
        labels = [label if counts else -100 for label, counts in zip(row["ids"], row["mask"], strict=True)]
        count = sum(row["mask"][1:])
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([row["ids"]]), labels=torch.tensor([labels])).loss
        total, tokens = total + float(loss) * count, tokens + count
    return total / tokens


def rows_of_step(folder: Path, step: int) -> list[dict[str, list[int]]]:
    """Return the rows that a step of training ``one`` reads, by the names that the samples state."""
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    found = data(AutomodelLora(**COMMON), folder, {"encoded": [folder / "encoded"]}, single_rank(scratch).once)
    size = COMMON["global_batch_size"]
    names = found.names(range((step - 1) * size, step * size))
    train = rows(folder, "train")
    return [train[int(name.rpartition(":")[2]) - 1] for name in names]


def test_b_is_0_so_the_model_equals_the_base_exactly(folder: Path, base: LlamaForCausalLM) -> None:
    before = torch.load(folder / "one.logits.pt")
    assert torch.equal(before, logits(base)), "with adapters, before the first step"
    assert not torch.allclose(torch.load(folder / "one.trained.pt"), before, atol=0.01), "and they are trained"


@pytest.mark.parametrize("name", ["one", "attention"])
def test_peft_loads_the_adapter_and_merged_equals_adapter(folder: Path, tmp_path: Path, name: str) -> None:
    found = by_peft(folder, name, tmp_path)
    torch.testing.assert_close(found["logits"], torch.load(folder / f"{name}.trained.pt"), rtol=0, atol=1e-6)
    names = {key.replace(".default", "") for key in found["names"] if ".lora_" in key}
    assert names == adapter(folder, name).keys(), "PEFT adapts these layers and no others"
    merge_adapter(folder / "base", folder / name, tmp_path / "merged")
    merged = LlamaForCausalLM.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(logits(merged), found["logits"], rtol=0, atol=1e-6)
    for key, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, found["merged"][key], rtol=0, atol=1e-6)


def test_the_parameter_count_is_the_sum_of_8_times_in_plus_out(folder: Path, base: LlamaForCausalLM) -> None:
    shapes = [weight.shape for name, weight in base.named_parameters() if name.endswith("_proj.weight")]
    assert len(shapes) == 14, "two layers of seven"
    expected = sum(8 * sum(shape) for shape in shapes)
    assert log(folder)["parameters"] == expected
    assert sum(tensor.numel() for tensor in adapter(folder).values()) == expected


def test_jit_on_and_off_agree(folder: Path) -> None:
    measured = {name: json.loads((folder / f"{name}.measured.json").read_bytes()) for name in ("jit", "jit off")}
    assert measured["jit"]["compiled"] > 0 and measured["jit off"]["compiled"] == 0, "the option has an effect"
    for name, tensor in adapter(folder, "jit").items():
        torch.testing.assert_close(tensor, adapter(folder, "jit off")[name], rtol=0, atol=1e-3)
    for jit, eager in zip(log(folder, "jit")["steps"], log(folder, "jit off")["steps"], strict=True):
        assert jit["loss"] == pytest.approx(eager["loss"], abs=1e-3)


def test_the_first_loss_is_transformers_cross_entropy_on_the_masked_tokens(
    folder: Path, base: LlamaForCausalLM
) -> None:
    """Also without a second shift of the labels, which this loss would not survive."""
    first = log(folder)["steps"][0]
    of_step = rows_of_step(folder, 1)
    assert first["tokens"] == sum(sum(row["mask"][1:]) for row in of_step) < sum(len(row["ids"]) for row in of_step)
    assert first["loss"] == pytest.approx(loss_of_rows(base, of_step), abs=1e-5)


def test_f69_the_prompt_has_no_loss(folder: Path, base: LlamaForCausalLM) -> None:
    of_step = rows_of_step(folder, 1)
    whole = [{**row, "mask": [1] * len(row["ids"])} for row in of_step]
    assert abs(log(folder)["steps"][0]["loss"] - loss_of_rows(base, whole)) > 1e-3, (
        "the losses with and without the mask differ"
    )


def test_f70_padding_counts_neither_in_the_loss_nor_in_the_attention(base: LlamaForCausalLM) -> None:
    """The tokens of a row see the same with other padding, also with that of the document, the end of a text."""
    tokens, mask = np.array([1, 5, 9, 13, 0, 0]), np.array([0, 0, 1, 1, 0, 0], dtype=np.uint8)
    segments = np.array([0, 0, 0, 0, -1, -1])
    found = []
    for padding in (0, base.config.eos_token_id, 17):
        ids, labels = (np.where(segments < 0, padding, values) for values in (tokens, np.array([5, 9, 13, 7, 0, 0])))
        batch = stack([Sample(ids, labels, mask, segments)], weight=0.5)
        with torch.no_grad():
            computed = base(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        found.append((computed[0, :4], weighted_loss(computed[0], batch["labels"].flatten(), batch["loss_mask"])))
    for hidden, loss in found[1:]:
        assert torch.equal(hidden, found[0][0]) and torch.equal(loss, found[0][1])
    attention = stack([Sample(tokens, tokens, mask, segments)], 1.0)["attention_mask"][0, 0]
    assert not (attention[:4, 4:] == 0).any() and (attention[4:, :4] < 0).all()


def test_f45_losses_and_gradients_do_not_depend_on_the_micro_batch(folder: Path) -> None:
    one = adapter(folder)
    for name in ("micro-1", "micro-4"):
        for ours, other in zip(log(folder)["steps"], log(folder, name)["steps"], strict=True):
            assert ours["loss"] == pytest.approx(other["loss"], abs=2e-6)
        for tensor, value in adapter(folder, name).items():
            torch.testing.assert_close(value, one[tensor], rtol=0, atol=1e-4)


def test_f72_rows_are_shuffled_and_each_is_read_once_before_any_is_read_twice(folder: Path) -> None:
    count = len(rows(folder, "train"))
    read = [row["digest"] for step in range(1, COMMON["max_steps"] + 1) for row in rows_of_step(folder, step)]
    first = [str(digest) for digest in read[:count]]
    assert len(set(first)) == len(first) and first != sorted(first, key=int)


def test_f73_the_seed_decides_the_bytes(folder: Path) -> None:
    assert folder_content(folder / "one") == folder_content(folder / "two")
    assert folder_content(folder / "one") != folder_content(folder / "other seed")


def test_f73_a_row_that_is_too_long_is_refused_and_not_cut(folder: Path, tmp_path: Path) -> None:
    job = AutomodelLora(**COMMON | {"seq_length": 16})
    with pytest.raises(BadRow, match=r"train\.jsonl.*tokens do not fit into 16"):
        data(job, folder, {"encoded": [folder / "encoded"]}, single_rank(tmp_path).once)


def test_f74_the_result_is_an_adapter_and_its_template(folder: Path) -> None:
    assert sorted(folder_content(folder / "one")) == [
        *("adapter_config.json", "adapter_model.safetensors"),
        *("prompt_template.json", "train_log.json"),
    ]
    settings = json.loads((folder / "one/adapter_config.json").read_bytes())
    assert settings["r"] == 8 and settings["lora_alpha"] / settings["r"] == 4, "scale 4"
    assert settings["target_modules"] == [f"{name}_proj" for name in ("down", "gate", "k", "o", "q", "up", "v")]


def test_f75_the_validation_loss_is_that_of_all_rows(folder: Path, tmp_path: Path) -> None:
    measured = log(folder)["validation"]
    assert [entry["step"] for entry in measured] == [3, 6]
    merge_adapter(folder / "base", folder / "one", tmp_path / "merged")
    merged = LlamaForCausalLM.from_pretrained(tmp_path / "merged").eval()
    assert measured[-1]["loss"] == pytest.approx(loss_of_rows(merged, rows(folder, "validation")), abs=1e-5)


def test_chosen_layers_and_ranks(folder: Path) -> None:
    tensors = adapter(folder, "attention")
    layers = {name.removeprefix("base_model.model.model.layers.").rpartition(".lora_")[0] for name in tensors}
    assert layers == {"0.self_attn.q_proj", "1.self_attn.q_proj", "1.self_attn.v_proj"}
    assert {tensor.shape[0 if ".lora_A." in name else 1] for name, tensor in tensors.items()} == {2}
    assert json.loads((folder / "attention/adapter_config.json").read_bytes())["lora_alpha"] == 6


@pytest.mark.parametrize("name", ["one", "attention"])
def test_the_learning_rates_are_those_of_the_schedule(folder: Path, name: str) -> None:
    job = AutomodelLora(**COMMON | TRAININGS[name])
    for entry in log(folder, name)["steps"]:
        assert entry["learning_rate"] == pytest.approx(learning_rate(job, entry["step"]), rel=1e-9)


def test_nothing_else_of_the_model_is_trained(folder: Path) -> None:
    trained = json.loads((folder / "one.measured.json").read_bytes())["trained"]
    assert trained and all(name.endswith((".lora_a.weight", ".lora_b.weight")) for name in trained)


def test_a_stopped_training_begins_again_with_the_same_bytes(folder: Path) -> None:
    attempts = json.loads((folder / "results.json").read_bytes())
    stopped, again = attempts["stopped"]
    assert stopped["status"] == 75 and "stopped at step 2 on request" in stopped["output"]
    assert again["status"] == 0
    assert folder_content(folder / "stopped") == folder_content(folder / "one")
