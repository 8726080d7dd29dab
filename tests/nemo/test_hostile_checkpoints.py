"""What PyTorch itself would run from a checkpoint is not run by any reader of checkpoints."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader, load, save

from tapeout.guard.errors import UnusableModel
from tapeout.guard.saved import load_common
from tapeout.guard.weights import check_weights, load_tensor, open_weights, read_index, read_metadata
from tapeout.nemo.canonical import canonicalize
from tapeout.nemo.checkpoint import checkpoint_tensors
from tests.guard.hostile import Runs
from tests.nemo.test_canonical import checkpoint

pytestmark = pytest.mark.environment("nemo")
READERS: dict[str, Callable[[Path], Any]] = {
    "tensors": checkpoint_tensors,
    "canonical form": lambda folder: canonicalize(folder, []),
    "index": lambda folder: read_index(folder / "weights"),
    "index of PyTorch": lambda folder: read_metadata(folder / "weights/.metadata"),
    "weights": lambda folder: check_weights(folder / "weights"),
    "reader of PyTorch": lambda folder: open_weights(folder / "weights"),
}


@pytest.mark.parametrize("name", READERS)
def test_an_index_runs_nothing(tmp_path: Path, name: str) -> None:
    folder, canary = checkpoint(tmp_path / "model"), tmp_path / "canary"
    index = folder / "weights/.metadata"
    metadata = pickle.loads(index.read_bytes())
    metadata.planner_data = Runs(canary)
    index.write_bytes(pickle.dumps(metadata))
    with pytest.raises(UnusableModel, match=r"posix\.system"):
        READERS[name](folder)
    assert not canary.exists()
    FileSystemReader(folder / "weights").read_metadata()
    assert canary.exists(), "PyTorch has become safe"


def test_common_values_run_nothing(tmp_path: Path) -> None:
    folder, canary = checkpoint(tmp_path / "model"), tmp_path / "canary"
    torch.save({"epoch": 0, "callbacks": Runs(canary)}, folder / "weights/common.pt")
    for read in (READERS["canonical form"], lambda folder: load_common(folder / "weights/common.pt")):
        with pytest.raises(UnusableModel, match=r"posix\.system"):
            read(folder)
    assert not canary.exists()


def test_a_value_among_the_weights_runs_nothing(tmp_path: Path) -> None:
    """As Megatron's ``_extra_state``, which it reads with ``weights_only=False``."""
    canary = tmp_path / "canary"
    weights = {"module.weight": torch.arange(6.0), "module._extra_state": Runs(canary)}
    save(weights, checkpoint_id=tmp_path / "weights", no_dist=True)
    with pytest.raises(UnusableModel, match=r"posix\.system"):
        check_weights(tmp_path / "weights")
    (part,) = read_index(tmp_path / "weights")["module._extra_state"].parts
    with pytest.raises(UnusableModel, match=r"posix\.system"):
        load_tensor(tmp_path / "weights" / part.file, part.offset, part.length)
    assert not canary.exists()
    load({"module._extra_state": None}, checkpoint_id=tmp_path / "weights", no_dist=True)
    assert canary.exists(), "PyTorch has become safe"


@pytest.mark.parametrize("field", ["relative_path", "offset", "length"])
def test_a_part_outside_its_file_is_refused(tmp_path: Path, field: str) -> None:
    folder = checkpoint(tmp_path / "model")
    index = folder / "weights/.metadata"
    metadata = pickle.loads(index.read_bytes())
    for location in metadata.storage_data.values():
        setattr(location, field, {"relative_path": "../../canary.distcp", "offset": 1 << 40, "length": -1}[field])
    index.write_bytes(pickle.dumps(metadata))
    with pytest.raises(UnusableModel):
        checkpoint_tensors(folder)


def test_a_tensor_of_another_type_than_in_the_index_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model")
    index = folder / "weights/.metadata"
    metadata = pickle.loads(index.read_bytes())
    for entry in metadata.state_dict_metadata.values():
        entry.properties.dtype = torch.float64
    index.write_bytes(pickle.dumps(metadata))
    with pytest.raises(UnusableModel, match="not a tensor of type float64"):
        check_weights(folder / "weights")
