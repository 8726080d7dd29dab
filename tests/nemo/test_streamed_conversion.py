"""Conversions tensor by tensor have the bytes of NeMo's own; rows of the known answers.

One process does the work (streamed_conversion.py), each test reads a result.
"""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType

from tapeout.guard.errors import UnusableModel
from tapeout.models.layout import concatenated, renamed
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.checkpoint import CheckpointWeights, checkpoint_tensors
from tapeout.nemo.convert import Chunks, ConversionMismatch, import_checkpoint
from tests.nemo.process import run_program
from tests.nemo.tiny_model import folder_content

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
PROJECTION = "module.decoder.layers.self_attention.linear_proj.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the finished conversions."""
    return run_program("nemo.streamed_conversion", tmp_path_factory)


@pytest.mark.parametrize("name", ["plain", "tied"])
def test_hugging_face_to_nemo_has_the_bytes_of_nemos_importer(folder: Path, name: str) -> None:
    assert folder_content(folder / "imported" / name) == folder_content(folder / "by nemo" / name)
    weights, source = CheckpointWeights(folder / "imported" / name), FolderWeights(folder / name)
    assert weights.dtype == (torch.float32 if name == "plain" else torch.bfloat16)
    assert weights.keys() == source.keys() and ("lm_head.weight" in source) == (name == "plain")


def test_hugging_face_to_nemo_orders_heads_by_query_group(folder: Path) -> None:
    fused = checkpoint_tensors(folder / "imported/plain")["decoder.layers.self_attention.linear_qkv.weight"]
    assert fused.shape == (2, 64, 32)
    for layer in fused:
        assert (layer == layer[:, :1]).all()
        assert layer[::8, 0].tolist() == [1, 2, -1, 101, 3, 4, -2, 102]


def test_the_same_sharded(folder: Path) -> None:
    assert len(list((folder / "sharded").glob("*.safetensors"))) == 3
    assert folder_content(folder / "imported/sharded") == folder_content(folder / "imported/plain")


def test_the_way_back_has_the_bytes_of_nemos_exporter(folder: Path) -> None:
    ours, theirs = folder_content(folder / "exported/plain"), folder_content(folder / "exported by nemo")
    assert ours.keys() == {"config.json", "model.safetensors"}
    for name, (_, data) in ours.items():
        assert data == theirs[name][1], name


@pytest.mark.parametrize(("name", "exported"), [("plain", "small files"), ("tied", "tied"), ("scaled", "scaled")])
def test_the_way_back_gives_the_source(folder: Path, name: str, exported: str) -> None:
    source, back = FolderWeights(folder / name), FolderWeights(folder / "exported" / exported)
    assert back.keys() == source.keys()
    assert not [name for name in source if not torch.equal(source[name], back[name])]
    assert len({entry.file for entry in back.entries.values()}) == (6 if exported == "small files" else 1)


def test_llama_3(folder: Path) -> None:
    """Positions 300 and 9,000, the second beyond the original context of 8,192."""
    differences = json.loads((folder / "results.json").read_text())
    assert max(differences["nemo"]) < 1e-4
    assert differences["exported"] == [0.0, 0.0]
    assert min(differences["scaling lost"]) > 1e-2
    config = json.loads((folder / "exported/scaled/config.json").read_text())
    assert config["rope_scaling"] == json.loads((folder / "scaled/config.json").read_text())["rope_scaling"]


def test_a_checkpoint_of_several_ranks_is_put_together(folder: Path, tmp_path: Path) -> None:
    """Tensor parallelism cuts the output projection of attention by columns."""
    expected = CheckpointWeights(folder / "imported/plain")
    shutil.copytree(folder / "imported/plain", tmp_path / "copy")
    index = tmp_path / "copy/weights/.metadata"
    metadata = pickle.loads(index.read_bytes())
    places = metadata.storage_data
    for old in [index for index in places if index.fqn == PROJECTION]:
        place, whole = places.pop(old), expected[f"model.layers.{old.offset[0]}.self_attn.o_proj.weight"]
        for rank, columns in enumerate(whole.chunk(2, 1)):
            file = f"__{rank + 1}_{old.offset[0]}.distcp"
            torch.save(columns[None].clone(), index.with_name(file))
            new = MetadataIndex(old.fqn, torch.Size((old.offset[0], 0, 16 * rank)))
            size = index.with_name(file).stat().st_size
            places[new] = type(place)(relative_path=file, offset=0, length=size)
    index.write_bytes(pickle.dumps(metadata))
    joined = CheckpointWeights(tmp_path / "copy")
    assert not [name for name in expected if not torch.equal(expected[name], joined[name])]
    for lacking in (lambda index: index.offset[2] == 0, lambda index: True):
        for chunk in [index for index in places if index.fqn == PROJECTION and lacking(index)]:
            del places[chunk]
        index.write_bytes(pickle.dumps(metadata))
        with pytest.raises(UnusableModel, match="lacks a part of"):
            CheckpointWeights(tmp_path / "copy")["model.layers.0.self_attn.o_proj.weight"]
    del metadata.state_dict_metadata[PROJECTION]
    index.write_bytes(pickle.dumps(metadata))
    with pytest.raises(UnusableModel, match="lacks the tensor decoder.layers.self_attention.linear_proj.weight"):
        CheckpointWeights(tmp_path / "copy")


@pytest.mark.parametrize("change", ["missing", "additional"])
def test_a_model_with_other_tensors_is_refused_before_any_work(folder: Path, tmp_path: Path, change: str) -> None:
    shutil.copytree(folder / "plain", tmp_path / "source")
    weights = dict(FolderWeights(folder / "plain").items())
    if change == "missing":
        del weights["model.layers.1.mlp.up_proj.weight"]
    else:
        weights["model.layers.1.mlp.up_proj.bias"] = torch.zeros(48)
    save_file({name: tensor.clone() for name, tensor in weights.items()}, tmp_path / "source/model.safetensors")
    with pytest.raises(ConversionMismatch, match=r"model\.layers\.1\.mlp\.up_proj"):
        import_checkpoint(tmp_path / "source", tmp_path / "output", tmp_path)
    assert not (tmp_path / "output").exists()


def item(name: str, size: tuple[int, ...], offsets: tuple[int, ...], sizes: tuple[int, ...]) -> WriteItem:
    """Return Megatron's request of a chunk of 32-bit floats."""
    chunk = ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))
    data = TensorWriteData(chunk, TensorProperties(dtype=torch.float32), torch.Size(size))
    return WriteItem(MetadataIndex(f"module.{name}", torch.Size(offsets)), WriteItemType.SHARD, tensor_data=data)


def test_a_chunk_is_the_requested_part_in_memory_of_its_own() -> None:
    weights = {"gate": torch.arange(8.0).view(4, 2), "up": torch.arange(8.0, 16.0).view(4, 2), "half": torch.ones(2)}
    weights["half"] = weights["half"].bfloat16()
    parts = [concatenated("fc1", 0, ["gate", "up"]), renamed("norm", None, "half"), renamed("head", None, "up")]
    chunks = Chunks(parts, weights)
    chunk = chunks.read(item("fc1", (1, 8, 2), (0, 4, 0), (1, 4, 2)))
    assert torch.equal(chunk, weights["up"][None]) and chunk.untyped_storage().nbytes() == 32
    columns = chunks.read(item("head", (4, 2), (1, 1), (2, 1)))
    assert columns.tolist() == [[11.0], [13.0]] and columns.is_contiguous()
    for wrong, cause in (
        (item("norm", (2,), (0,), (2,)), r"half give a tensor of shape \(2,\) in torch.bfloat16"),
        (item("head", (4, 3), (0, 0), (4, 3)), r"up give a tensor of shape \(4, 2\) in torch.float32"),
        (item("bias", (4,), (0,), (4,)), "has a tensor bias that the model family does not know"),
    ):
        with pytest.raises(ConversionMismatch, match=cause):
            chunks.read(wrong)
