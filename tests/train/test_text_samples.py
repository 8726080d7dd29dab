"""Samples of text: blended in the given fractions, each window once per epoch, only from complete files."""

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.dapt import Dapt
from tapeout.data.errors import BadRow, NotEnoughData, UnreadableFile
from tapeout.data.shards.token_files import IndexedWriter, id_type, read_ids
from tapeout.encoder.load import load_encoder
from tapeout.train.methods import dapt
from tapeout.train.text_samples import assign_components, component_windows, corpus_samples, shard_samples
from tests.nemo.tiny_model import tokenizer_model

pytestmark = pytest.mark.environment("nemo")

JOB = Dapt(reads="pretraining", max_steps=4, warmup_steps=0, seq_length=8, global_batch_size=8, micro_batch_size=8)


def shard(folder: Path, components: Mapping[str, Sequence[Sequence[int]]], vocabulary: int = 400) -> Path:
    """Write documents of each component as the rule ``pretraining_tokens`` does."""
    folder.mkdir()
    kind = id_type(vocabulary)
    for name, documents in components.items():
        with IndexedWriter(folder / name, kind) as writer:
            for ids in documents:
                writer.write(np.array(ids, dtype=kind).tobytes(), [len(ids)])
    return folder


def blend(path: Path, fractions: Mapping[str, float]) -> Path:
    """Write a blend's file as the rule ``pretraining_blend`` does."""
    path.write_text(json.dumps({"components": {name: {"fraction": value} for name, value in fractions.items()}}))
    return path


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 1), min_size=1), st.integers(1, 200))
def test_every_prefix_has_the_fractions(weights: dict[str, float], count: int) -> None:
    fractions = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    assignment = assign_components(count, fractions)
    for end in (1, count // 2, count):
        for number, name in enumerate(sorted(fractions)):
            assert abs((assignment[:end] == number).sum() - end * fractions[name]) <= len(fractions)


@pytest.mark.parametrize("vocabulary", [400, 70_000])
def test_an_epoch_has_every_window_of_the_shards_once(tmp_path: Path, vocabulary: int) -> None:
    first = [list(range(10)), list(range(10, 33))]  # 33 tokens: four windows of 8 and their labels
    second = [list(range(100, 117))]  # two windows
    empty = [[7, 7]]
    shards = [
        shard(tmp_path / "0", {"a": first}, vocabulary),
        shard(tmp_path / "1", {"b": empty}, vocabulary),
        shard(tmp_path / "2", {"a": second, "b": empty}, vocabulary),
    ]
    drawn = component_windows("a", shards, JOB, 12)
    expected = [list(range(start, start + 9)) for start in (0, 8, 16, 24, 100, 108)]
    assert sorted(drawn[:6].tolist()) == expected == sorted(drawn[6:].tolist())
    assert drawn.tolist() == component_windows("a", shards, JOB, 40)[:12].tolist()
    with pytest.raises(NotEnoughData, match="component b"):
        component_windows("b", shards, JOB, 1)


def test_samples_have_the_fractions_and_labels_are_the_next_tokens(tmp_path: Path) -> None:
    shards = [shard(tmp_path / "0", {"a": [list(range(60))], "b": [list(range(200, 260))]})]
    samples = shard_samples(blend(tmp_path / "blend.json", {"a": 0.75, "b": 0.25}), shards, JOB)
    assert samples.tokens.shape == (32, 8)
    assert (samples.labels == samples.tokens + 1).all()
    assert samples.mask.all() and samples.segments is None
    assert (samples.tokens[:, 0] >= 200).sum() == 8


def test_corpora_are_blended(tmp_path: Path) -> None:
    for corpus, word in (("domain", "clk "), ("general", "ready ")):
        (tmp_path / corpus).mkdir()
        (tmp_path / corpus / "train.jsonl").write_text(json.dumps({"text": word * 400}) + "\n")
    (tmp_path / "tokenizer.model").write_bytes(tokenizer_model())
    job = Dapt(
        max_steps=5, warmup_steps=1, seq_length=16, global_batch_size=4, micro_batch_size=2, general_fraction=0.25
    )
    paths = tmp_path / "domain/train.jsonl", tmp_path / "general/train.jsonl"
    samples = corpus_samples(*paths, tmp_path / "tokenizer.model", job)
    general = load_encoder(tmp_path).encode("ready ready")[-1]
    assert samples.tokens.shape == (20, 16)
    assert sum(general in row for row in samples.tokens) == 5
    assert np.array_equal(samples.tokens[:, 1:], samples.labels[:, :-1])
    assert np.array_equal(samples.tokens, corpus_samples(*paths, tmp_path / "tokenizer.model", job).tokens)
    (tmp_path / "general/train.jsonl").write_text(json.dumps({"text": "x"}) + "\n")
    with pytest.raises(NotEnoughData, match="general"):
        corpus_samples(*paths, tmp_path / "tokenizer.model", job)
    paths[1].write_text('{"text": "clk"}\n{"text": \n')
    with pytest.raises(BadRow, match=r"train\.jsonl, line 2: not JSON"):
        corpus_samples(*paths, tmp_path / "tokenizer.model", job)


def test_names_are_the_lines_and_shards_of_the_windows(tmp_path: Path) -> None:
    words = {"domain": ("clk", "reset", "valid"), "general": ("address", "enable", "write")}
    (tmp_path / "tokenizer.model").write_bytes(tokenizer_model())
    for corpus, lines in words.items():
        (tmp_path / corpus).mkdir()
        texts = [json.dumps({"text": f"{word} " * 12}) + "\n" for word in lines]
        (tmp_path / corpus / "train.jsonl").write_text("".join(texts))
    job = Dapt(max_steps=5, warmup_steps=1, seq_length=16, global_batch_size=4, micro_batch_size=2)
    inputs = {corpus: tmp_path / corpus / "train.jsonl" for corpus in words}
    data, encoder = dapt.data(job, tmp_path / "tokenizer.model", inputs), load_encoder(tmp_path)
    for sequence in range(20):
        text = encoder.decode([*data.train.tokens[sequence].tolist(), int(data.train.labels[sequence, -1])])
        named = {tuple(name.rsplit(":", 1)) for name in data.names_in(range(sequence, sequence + 1))}
        used = {
            (f"corpus/{corpus}/train.jsonl", str(line))
            for corpus, lines in words.items()
            for line, word in enumerate(lines, start=1)
            if word in text
        }
        assert used and used <= named and len({path for path, _ in named}) == 1
    shards = [shard(tmp_path / name, {"a": [list(range(first, first + 40))]}) for name, first in (("0", 0), ("1", 100))]
    inputs = {"blend": blend(tmp_path / "blend.json", {"a": 1.0}), "shards": shards}
    data = dapt.data(JOB, tmp_path / "tokenizer.model", inputs)
    for sequence, name in enumerate(data.names_in(range(4))):
        first = int(data.train.tokens[sequence, 0])
        assert name == f"a in shard {first // 100}, tokens {first % 100} to {first % 100 + 8}"


def test_a_truncated_or_foreign_file_is_an_error(tmp_path: Path) -> None:
    folder = shard(tmp_path / "0", {"a": [[1, 2, 3]]})
    assert read_ids(folder / "b") is None
    whole = (folder / "a.bin").read_bytes()
    (folder / "a.bin").write_bytes(whole[:-1])
    with pytest.raises(UnreadableFile):
        read_ids(folder / "a")
    (folder / "a.bin").write_bytes(whole)
    ids = read_ids(folder / "a")
    assert ids is not None and ids.tolist() == [1, 2, 3]
    for content in (b"", b"something else that is no index at all", (folder / "a.idx").read_bytes()[:40]):
        (folder / "a.idx").write_bytes(content)
        with pytest.raises(UnreadableFile):
            read_ids(folder / "a")


def test_options_that_the_blend_would_ignore_are_refused() -> None:
    with pytest.raises(ValueError, match="general_fraction has no effect"):
        Dapt(reads="pretraining", general_fraction=0.2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 30), max_size=4) | st.none(), min_size=1, max_size=4), st.integers(1, 9))
def test_windows_are_those_of_each_shard_separately(lengths: list[list[int] | None], wanted: int) -> None:
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
            with pytest.raises(NotEnoughData):
                component_windows("a", shards, JOB, wanted)
            return
        drawn = component_windows("a", shards, JOB, wanted).tolist()
        assert drawn == component_windows("a", [Path(str(path)) for path in shards], JOB, wanted).tolist()
        once = component_windows("a", shards, JOB, len(expected)).tolist()
    assert sorted(once) == expected
    assert drawn[: len(expected)] == once[:wanted]
