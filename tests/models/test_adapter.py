"""Adapters in PEFT's layout, and their merge; tests/train/test_automodel_lora.py compares with the library PEFT."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tapeout.config.bases.tiny import Base
from tapeout.guard.errors import UnusableModel
from tapeout.models import llama
from tapeout.models.adapter import CONFIG, WEIGHTS, Adapter, merge_adapter, read_adapter, write_adapter
from tapeout.models.huggingface import load_huggingface, new_model, save_model
from tests.models.small_llama import ARCHITECTURE
from tests.nemo.tiny_model import folder_content
from tests.tokenizer.material import BASE

pytestmark = pytest.mark.environment("nemo")

JOB = Base(architecture=ARCHITECTURE)
LAYER = "model.layers.0.self_attn.k_proj"
"""Linear layer with 16 inputs and, because one group of heads has all keys, 8 outputs."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.model").write_bytes(BASE)
    save_model(new_model(JOB, tmp_path / "tokenizer.model"), llama, tmp_path / "tokenizer.model", tmp_path / "base")
    return tmp_path / "base"


def written(adapter: Adapter, base: Path) -> Path:
    folder = base.with_name("adapter")
    folder.mkdir()
    write_adapter(adapter, base, folder)
    return folder


def of(a: Tensor, b: Tensor, layer: str = LAYER) -> Adapter:
    return Adapter(2, 6, {layer: (a, b)})


def test_a_merged_layer_is_computed_by_hand(base: Path, tmp_path: Path) -> None:
    """Row 3 of B takes the first row of A, which has a 1 for input 5: with scale 6 / 2, weight [3, 5] grows by 3."""
    a, b = torch.zeros(2, 16), torch.zeros(8, 2)
    a[0, 5], b[3, 0] = 1.0, 1.0
    before = load_file(base / "model.safetensors")
    merge_adapter(base, written(of(a, b), base), tmp_path / "merged")
    after = load_file(tmp_path / "merged" / "model.safetensors")
    assert before.keys() == after.keys()
    expected = {**before, f"{LAYER}.weight": before[f"{LAYER}.weight"].clone()}
    expected[f"{LAYER}.weight"][3, 5] += 3.0
    assert all(torch.equal(after[name], expected[name]) for name in after)


def test_with_b_0_the_merged_folder_has_the_bytes_of_the_base(base: Path, tmp_path: Path) -> None:
    merge_adapter(base, written(of(torch.rand(2, 16), torch.zeros(8, 2)), base), tmp_path / "merged")
    assert folder_content(tmp_path / "merged") == folder_content(base)


def test_sums_are_rounded_once_to_the_type_of_the_weights(base: Path, tmp_path: Path) -> None:
    model = load_huggingface(base).to(torch.bfloat16)
    model.config.torch_dtype = torch.bfloat16
    save_model(model, llama, base.with_name("tokenizer.model"), tmp_path / "half")
    torch.manual_seed(0)
    a, b = torch.randn(2, 16), torch.randn(8, 2)
    merge_adapter(tmp_path / "half", written(of(a, b), base), tmp_path / "merged")
    after = load_file(tmp_path / "merged" / "model.safetensors")[f"{LAYER}.weight"]
    exact = load_file(tmp_path / "half" / "model.safetensors")[f"{LAYER}.weight"].double() + 3 * b.double() @ a.double()
    assert after.dtype == torch.bfloat16
    torch.testing.assert_close(after.double(), exact, rtol=2**-8, atol=1e-6)


def test_an_adapter_is_read_as_it_was_written(base: Path) -> None:
    adapter = of(torch.rand(2, 16), torch.rand(8, 2))
    folder = written(adapter, base)
    found = read_adapter(folder, base)
    assert (found.dim, found.alpha, found.pairs.keys()) == (2, 6, {LAYER})
    assert all(torch.equal(*both) for both in zip(found.pairs[LAYER], adapter.pairs[LAYER], strict=True))
    assert set(load_file(folder / WEIGHTS)) == {f"base_model.model.{LAYER}.lora_{letter}.weight" for letter in "AB"}
    again = base.with_name("again")
    again.mkdir()
    write_adapter(found, base, again)
    assert folder_content(folder) == folder_content(again)


def test_last_parts_of_names_are_written_only_if_they_mean_the_adapted_layers(base: Path, tmp_path: Path) -> None:
    layers = [f"model.layers.{number}.self_attn.k_proj" for number in range(2)]
    both = {layer: (torch.rand(2, 16), torch.rand(8, 2)) for layer in layers}
    for pairs, names in ((both, ["k_proj"]), ({LAYER: both[LAYER]}, [LAYER])):
        folder = tmp_path / names[0]
        folder.mkdir()
        write_adapter(Adapter(2, 6, pairs), base, folder)
        assert json.loads((folder / CONFIG).read_bytes())["target_modules"] == names


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (Adapter(2, 6, {}), "changes no layer"),
        (of(torch.rand(2, 16), torch.rand(9, 2)), r"shapes \(2, 16\) and \(9, 2\), which do not fit"),
        (of(torch.rand(3, 16), torch.rand(8, 3)), "do not fit"),
        (of(torch.rand(2, 16), torch.rand(8, 2), "model.layers.7.self_attn.k_proj"), "do not fit"),
        (of(torch.rand(2, 16), torch.rand(8, 2), "model.embed_tokens"), "do not fit"),
    ],
    ids=["none", "out", "dim", "no such layer", "not linear"],
)
def test_an_adapter_of_another_model_is_refused(base: Path, adapter: Adapter, words: str) -> None:
    with pytest.raises(UnusableModel, match=words):
        written(adapter, base)


def settings(**changed: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_bytes())
        (folder / CONFIG).write_text(json.dumps(content | changed))

    return change


def tensors(names: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        save_file(names(load_file(folder / WEIGHTS)), folder / WEIGHTS)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (settings(use_dora=True), "settings that are not carried through"),
        (settings(bias="all"), "settings that are not carried through"),
        (settings(r=4), "do not fit"),
        (settings(target_modules=["q_proj"]), "names other layers"),
        (lambda folder: (folder / CONFIG).write_text("{"), "cannot be read"),
        (lambda folder: (folder / CONFIG).unlink(), "cannot be read"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"?" * 20), "not a safetensors file"),
        (tensors(lambda all: dict(list(all.items())[:1])), "has no"),
        (tensors(lambda all: {**all, "base_model.model.lm_head.weight": torch.zeros(1)}), "has no|unknown tensor"),
    ],
)
def test_a_damaged_adapter_is_refused(base: Path, change: Callable[[Path], None], words: str) -> None:
    folder = written(of(torch.rand(2, 16), torch.rand(8, 2)), base)
    change(folder)
    with pytest.raises(UnusableModel, match=words):
        read_adapter(folder, base)
