"""The canonical form of a checkpoint does not depend on the folder or the time of the save."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint import save

from tapeout.models.tokenizer_file import UnusableModel
from tapeout.nemo.canonical import canonicalize

pytestmark = pytest.mark.environment("nemo")


def checkpoint(folder: Path, note: str = "") -> Path:
    """Write a folder like NeMo's, with PyTorch's own random save id and path in it."""
    (folder / "context").mkdir(parents=True)
    (folder / "context/io.json").write_text(json.dumps({"note": note, "a": 1}))
    weights = {f"module.weight{number}": torch.arange(6.0) for number in range(9)}
    save(weights, checkpoint_id=folder / "weights", no_dist=True)
    torch.save({"epoch": 0, "callbacks": {"ModelCheckpoint": {"dirpath": str(folder)}}}, folder / "weights/common.pt")
    return folder


def test_two_folders_become_the_same_bytes(tmp_path: Path) -> None:
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "another" / "two")
    names = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert any((one / name).read_bytes() != (two / name).read_bytes() for name in names)
    for folder in (one, two):
        (folder / "context/io.json").chmod(0o600)
        canonicalize(folder, forbidden=[tmp_path])
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
        assert (one / name).stat().st_mode & 0o777 == 0o644


def test_the_order_of_the_writers_does_not_matter(tmp_path: Path) -> None:
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    index = two / "weights/.metadata"
    metadata = pickle.loads(index.read_bytes())
    metadata.storage_data = dict(reversed(metadata.storage_data.items()))
    index.write_bytes(pickle.dumps(metadata))
    for folder in (one, two):
        canonicalize(folder, forbidden=[tmp_path])
    assert index.read_bytes() == (one / "weights/.metadata").read_bytes()


def test_a_path_in_the_context_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match="contains the path"):
        canonicalize(checkpoint(tmp_path / "one", note=f"{tmp_path}/x"), forbidden=[tmp_path])


def test_a_missing_part_is_an_error(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    (folder / "weights/common.pt").unlink()
    with pytest.raises(UnusableModel, match=r"common\.pt"):
        canonicalize(folder, forbidden=[])
