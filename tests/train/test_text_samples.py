"""Samples from token shards: the shares of the blend, every window once an epoch, only whole files."""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tapeout.train.blended import blended_samples, in_turn, windows

from tapeout.config.dapt import Dapt
from tapeout.data.shards.token_files import DamagedTokens, IndexedWriter, id_type, read_ids
from tapeout.train.samples import TooLittleData

pytestmark = pytest.mark.environment("nemo")

JOB = Dapt(reads="pretraining", steps=4, warm_up=0, seq_length=8, global_batch=8, micro_batch=8)


def shard(folder: Path, components: Mapping[str, Sequence[Sequence[int]]], vocabulary: int = 400) -> Path:
    """Write documents of each component as the rule ``pretraining_tokens`` does."""
    folder.mkdir()
    kind = id_type(vocabulary)
    for name, documents in components.items():
        with IndexedWriter(folder / name, kind) as writer:
            for ids in documents:
                writer.write(np.array(ids, dtype=kind).tobytes(), [len(ids)])
    return folder


def blend(path: Path, shares: Mapping[str, float]) -> Path:
    path.write_text(json.dumps({"components": {name: {"fraction": share} for name, share in shares.items()}}))
    return path


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 1), min_size=1), st.integers(1, 200))
def test_every_beginning_has_the_shares(weights: dict[str, float], count: int) -> None:
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    turns = in_turn(count, shares)
    for end in (1, count // 2, count):
        for number, name in enumerate(sorted(shares)):
            assert abs((turns[:end] == number).sum() - end * shares[name]) <= len(shares)


@pytest.mark.parametrize("vocabulary", [400, 70_000])
def test_windows_are_all_of_the_shards_tokens_and_each_once_an_epoch(tmp_path: Path, vocabulary: int) -> None:
    first = [list(range(10)), list(range(10, 33))]  # 33 tokens: four windows of 8 and their labels
    second = [list(range(100, 117))]  # two windows
    empty = [[7, 7]]
    shards = [
        shard(tmp_path / "0", {"a": first}, vocabulary),
        shard(tmp_path / "1", {"b": empty}, vocabulary),
        shard(tmp_path / "2", {"a": second, "b": empty}, vocabulary),
    ]
    drawn = windows("a", shards, JOB, 12)
    expected = [list(range(start, start + 9)) for start in (0, 8, 16, 24, 100, 108)]
    assert sorted(drawn[:6].tolist()) == expected == sorted(drawn[6:].tolist())
    assert drawn.tolist() == windows("a", shards, JOB, 40)[:12].tolist()
    with pytest.raises(TooLittleData, match="component b"):
        windows("b", shards, JOB, 1)


def test_samples_have_the_shares_and_labels_are_the_next_tokens(tmp_path: Path) -> None:
    shards = [shard(tmp_path / "0", {"a": [list(range(60))], "b": [list(range(200, 260))]})]
    samples = blended_samples(blend(tmp_path / "blend.json", {"a": 0.75, "b": 0.25}), shards, JOB)
    assert samples.tokens.shape == (32, 8)
    assert (samples.labels == samples.tokens + 1).all()
    assert samples.mask.all() and samples.segments is None
    assert (samples.tokens[:, 0] >= 200).sum() == 8


def test_a_cut_or_foreign_file_is_named(tmp_path: Path) -> None:
    folder = shard(tmp_path / "0", {"a": [[1, 2, 3]]})
    assert read_ids(folder / "b") is None
    whole = (folder / "a.bin").read_bytes()
    (folder / "a.bin").write_bytes(whole[:-1])
    with pytest.raises(DamagedTokens):
        read_ids(folder / "a")
    (folder / "a.bin").write_bytes(whole)
    ids = read_ids(folder / "a")
    assert ids is not None and ids.tolist() == [1, 2, 3]
    for content in (b"", b"something else that is no index at all", (folder / "a.idx").read_bytes()[:40]):
        (folder / "a.idx").write_bytes(content)
        with pytest.raises(DamagedTokens):
            read_ids(folder / "a")


def test_options_that_the_blend_would_ignore_are_refused() -> None:
    with pytest.raises(ValueError, match="general_fraction has no effect"):
        Dapt(reads="pretraining", general_fraction=0.2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 30), max_size=4) | st.none(), min_size=1, max_size=4), st.integers(1, 9))
def test_windows_are_those_of_each_shard_by_itself(lengths: list[list[int] | None], wanted: int) -> None:
    """Shards may lack the component, have it without a document, or in documents that fill no window."""
    first, expected, parts = 0, [], []
    for documents in lengths:
        ends = [first, *(first + end for end in accumulate(documents or []))]
        total = ends[-1] - first
        parts.append(None if documents is None else [list(range(start, end)) for start, end in pairwise(ends)])
        expected += [list(range(start, start + 9)) for start in range(first, first + total - 8, 8)]
        first += total
    with TemporaryDirectory() as name:
        shards = [shard(Path(name) / str(n), {} if ids is None else {"a": ids}) for n, ids in enumerate(parts)]
        if not expected:
            with pytest.raises(TooLittleData):
                windows("a", shards, JOB, wanted)
            return
        drawn = windows("a", shards, JOB, wanted).tolist()
        assert drawn == windows("a", [Path(str(path)) for path in shards], JOB, wanted).tolist()  # for every rank
        once = windows("a", shards, JOB, len(expected)).tolist()
    assert sorted(once) == expected
    assert drawn[: len(expected)] == once[:wanted]
