"""Files written one tensor at a time have the bytes of the reference libraries."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tapeout.guard.errors import UnusableModel
from tapeout.models.weights_folder import FolderWeights
from tapeout.models.weights_writer import TYPES, write_weights

pytestmark = pytest.mark.environment("nemo")


def without_data(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the same state dict on the device ``meta``."""
    return {name: tensor.to("meta") for name, tensor in weights.items()}


def test_a_file_has_the_bytes_that_safetensors_writes(tmp_path: Path) -> None:
    weights = {f"{n}é{dtype}": torch.arange(n).to(dtype) for n in (0, 3, 5) for dtype in TYPES}
    weights |= {"scalar": torch.tensor(2.5), "matrix": torch.arange(6.0).view(2, 3).t()}
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "one", {"format": "pt"})
    write_weights(tmp_path, without_data(weights), dict(sorted(weights.items())))
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "one").read_bytes()


@pytest.mark.parametrize("tied", [False, True])
def test_several_files_and_their_index_are_those_of_save_pretrained(tmp_path: Path, tied: bool) -> None:
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, tie_word_embeddings=tied))
    model.save_pretrained(tmp_path / "theirs", max_shard_size=3000)  # less than the embedding
    weights = model.state_dict()
    if tied:
        del weights["lm_head.weight"]
    (tmp_path / "ours").mkdir()
    write_weights(tmp_path / "ours", without_data(weights), dict(reversed(weights.items())), 3000)
    written = sorted(path.name for path in (tmp_path / "ours").iterdir())
    assert len(written) > 4
    for name in written:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name
    read = FolderWeights(tmp_path / "ours")
    assert read.keys() == weights.keys() and all(torch.equal(read[name], weights[name]) for name in weights)


def test_a_tensor_of_another_shape_or_type_is_named(tmp_path: Path) -> None:
    for wrong in (torch.zeros(3), torch.zeros(2, dtype=torch.bfloat16)):
        with pytest.raises(UnusableModel, match="Tensor a has shape"):
            write_weights(tmp_path, {"a": torch.zeros(2, device="meta")}, {"a": wrong})
