"""Reading the weights of a Hugging Face folder: one file and several, and everything that can be wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tapeout.guard.errors import UnusableModel
from tapeout.guard.saved import Tensor
from tapeout.models.weights_folder import INDEX, FolderWeights

pytestmark = pytest.mark.environment("nemo")

TENSORS = {
    "a": torch.arange(6.0).view(2, 3),
    "b": torch.arange(4, dtype=torch.bfloat16),
    "c.rotary_emb.inv_freq": torch.ones(2),
    "d": torch.tensor(7.0),
}
FILES = {"one.safetensors": ["a"], "two.safetensors": ["b", "c.rotary_emb.inv_freq"], "three.safetensors": ["d"]}


def sharded(folder: Path, change: Callable[[dict[str, str]], Any] | None = None) -> Path:
    """Write the tensors to three files with their index."""
    weight_map = {name: file for file, names in FILES.items() for name in names}
    for file, names in FILES.items():
        save_file({name: TENSORS[name] for name in names}, folder / file)
    if change:
        change(weight_map)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return folder


def same(weights: FolderWeights) -> bool:
    """Return whether the weights are the tensors above, without the one that is recomputed."""
    expected = TENSORS.keys() - {"c.rotary_emb.inv_freq"}
    return weights.keys() == expected and all(torch.equal(weights[name], TENSORS[name]) for name in expected)


def test_one_file_and_three_are_the_same_weights(tmp_path: Path) -> None:
    assert same(FolderWeights(sharded(tmp_path)))
    for path in tmp_path.iterdir():
        path.unlink()
    save_file(TENSORS, tmp_path / "model.safetensors")
    save_file(TENSORS, tmp_path / "consolidated.safetensors")  # another format's file beside it is left alone
    weights = FolderWeights(tmp_path)
    assert same(weights) and weights.entries["b"].tensor == Tensor("bfloat16", (4,))


def index_is(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / INDEX).write_text(text) and None


def rewritten(file: str, names: list[str]) -> Callable[[Path], None]:
    return lambda folder: save_file({name: TENSORS[name] for name in names}, folder / file)


WRONG: list[tuple[str, Callable[[Path], Any]]] = [
    (r"no model\.safetensors\.index\.json", lambda folder: (folder / INDEX).unlink()),
    ("has no weight_map", index_is("[]")),
    ("has no weight_map", index_is("{")),
    ("names no tensor", index_is('{"weight_map": {}}')),
    (r"names '\.\./one\.safetensors' as the file of a", index_is('{"weight_map": {"a": "../one.safetensors"}}')),
    ("names 3 as the file of a", index_is('{"weight_map": {"a": 3}}')),
    ("names 'a.bin' as the file of a", index_is('{"weight_map": {"a": "a.bin"}}')),
    (r"two\.safetensors is missing", lambda folder: (folder / "two.safetensors").unlink()),
    (r"b is not in two\.safetensors", rewritten("two.safetensors", ["c.rotary_emb.inv_freq"])),
    (r"a is in one\.safetensors and in three\.safetensors", rewritten("three.safetensors", ["a", "d"])),
    (r"d is in one\.safetensors, but not according", rewritten("one.safetensors", ["a", "d"])),
    (r"both model\.safetensors and", rewritten("model.safetensors", ["a"])),
    ("not a safetensors file", lambda folder: (folder / "three.safetensors").write_bytes(b"\x80\x04pickle")),
]


@pytest.mark.parametrize(("cause", "spoil"), WRONG)
def test_what_is_wrong_with_the_files_is_named(tmp_path: Path, cause: str, spoil: Callable[[Path], Any]) -> None:
    spoil(sharded(tmp_path))
    with pytest.raises(UnusableModel, match=cause):
        FolderWeights(tmp_path)


def test_a_tensor_that_the_index_places_elsewhere_is_named(tmp_path: Path) -> None:
    sharded(tmp_path, lambda weight_map: weight_map.update(a="three.safetensors"))
    with pytest.raises(UnusableModel, match=r"a is not in three\.safetensors"):
        FolderWeights(tmp_path)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UnusableModel, match=r"There is no model\.safetensors") as refusal:
        FolderWeights(tmp_path)
    assert "pickled weights" in refusal.value.fix
