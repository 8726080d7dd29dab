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
from tapeout.data.encode.packing import blend as blend_counts
from tapeout.data.encode.packing import permutation, windows
from tapeout.data.errors import BadRow, NotEnoughData, UnreadableFile
from tapeout.data.io.text import beginning
from tapeout.data.shards.token_files import IndexedWriter, id_type, read_ids
from tapeout.encoder.load import load_encoder
from tapeout.train.launch import single_rank
from tapeout.train.methods import dapt
from tapeout.train.samples import Samples
from tapeout.train.text_samples import shard_component, shard_samples
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


def component_windows(component: str, shards: Sequence[Path], job: Dapt, wanted: int) -> list[list[int]]:
    """Return the first windows of a component."""
    found = shard_component(component, shards, job)
    return [found.ids(number).tolist() for number in range(wanted)]


def tokens_of(samples: Samples) -> list[list[int]]:
    return [samples[index].tokens.tolist() for index in range(len(samples))]


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
    assert sorted(drawn[:6]) == expected == sorted(drawn[6:])
    with pytest.raises(NotEnoughData, match="component b"):
        component_windows("b", shards, JOB, 1)


def test_samples_have_the_fractions_and_labels_are_the_next_tokens(tmp_path: Path) -> None:
    shards = [shard(tmp_path / "0", {"a": [list(range(60))], "b": [list(range(200, 260))]})]
    samples = shard_samples(blend(tmp_path / "blend.json", {"a": 0.75, "b": 0.25}), shards, JOB)
    tokens = np.array(tokens_of(samples))
    assert tokens.shape == (32, 8)
    for index in range(32):
        sample = samples[index]
        assert (sample.labels == sample.tokens + 1).all() and sample.mask.all() and sample.segments is None
    assert (tokens[:, 0] >= 200).sum() == 8
    assert {*range(1, 57), *range(201, 257)} == {target for ids in samples.targets() for target in ids.tolist()}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tokenizer and two corpora, one with more text than the training below needs."""
    folder = tmp_path_factory.mktemp("corpora")
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    words = {"domain": ("clk", "reset", "valid") * 60, "general": ("address", "enable", "write")}
    for corpus, lines in words.items():
        (folder / corpus).mkdir()
        texts = [json.dumps({"text": f"{word} " * 12 + "\n"}) + "\n" for word in lines]
        (folder / corpus / "train.jsonl").write_text("".join(texts) + "\n")
    return folder


@pytest.mark.parametrize(("fraction", "seed"), [(0.35, 1), (0.0, 2), (0.5, 3)])
def test_corpora_are_read_in_the_order_of_all_windows_in_memory(
    corpora: Path, tmp_path: Path, fraction: float, seed: int
) -> None:
    """The order of version 0.2, whose bytes the default configuration keeps."""
    sizes = {"max_steps": 10, "warmup_steps": 1, "seq_length": 16, "global_batch_size": 8, "micro_batch_size": 2}
    job = Dapt(**sizes, general_fraction=fraction, seed=seed)
    inputs = {corpus: corpora / corpus / "train.jsonl" for corpus in ("domain", "general")}
    data, encoder = dapt.data(job, corpora, inputs, single_rank(tmp_path).once), load_encoder(corpora)
    samples, drawn = data.train, blend_counts([1 - fraction, fraction], 80)
    expected = {}
    for (corpus, path), wanted in zip(inputs.items(), drawn, strict=True):
        texts = [json.loads(line)["text"] for line in path.open() if line.strip()]
        documents: list[list[int]] = []
        order = permutation(seed, 0, len(texts)).tolist()
        while order and sum(map(len, documents)) < 2 * wanted * 16:
            batch, order = order[:64], order[64:]
            documents += [[*encoder.bos_ids, *encoder.encode(beginning(texts[n], 16_384)), encoder.eos] for n in batch]
        cut = windows(documents, 16)
        epochs = [permutation(seed, epoch, len(cut)) for epoch in range(-(-wanted // len(cut)))] if wanted else []
        expected[corpus] = iter(cut[np.concatenate(epochs)[:wanted]].tolist() if wanted else [])
    for index in range(80):
        general = int((index + 1) * fraction + 1e-9) > int(index * fraction + 1e-9)
        window = next(expected["general" if general else "domain"])
        assert [*samples[index].tokens.tolist(), int(samples[index].labels[-1])] == window
        spans = samples.sources(index)
        assert [spans[0].start, spans[-1].end] == [0, 16]
        for span in spans:
            path, _, line = span.name.rpartition(":")
            corpus = path.split("/")[1]
            assert path == f"corpus/{corpus}/train.jsonl" and (corpus == "general") == general
            text = json.loads(inputs[corpus].read_text().splitlines()[int(line) - 1])["text"]
            assert encoder.decode(window[span.start : span.end]).strip() in text
    assert data.names(range(2)) == list(dict.fromkeys(s.name for index in (0, 1) for s in samples.sources(index)))


def test_a_corpus_that_fills_no_window_or_has_a_bad_line_is_an_error(corpora: Path, tmp_path: Path) -> None:
    job = Dapt(max_steps=5, warmup_steps=1, seq_length=16, global_batch_size=4, micro_batch_size=2)
    (tmp_path / "general").mkdir()
    path = tmp_path / "general" / "train.jsonl"
    inputs = {"domain": corpora / "domain" / "train.jsonl", "general": path}
    path.write_text(json.dumps({"text": "x"}) + "\n")
    with pytest.raises(NotEnoughData, match="general"):
        dapt.data(job, corpora, inputs, single_rank(tmp_path / "one").once)
    path.write_text('{"text": "clk"}\n{"text": \n')
    with pytest.raises(BadRow, match=r"train\.jsonl, line 2: not JSON"):
        dapt.data(job, corpora, inputs, single_rank(tmp_path / "two").once)


def test_the_documents_of_a_window_of_shards_are_named(tmp_path: Path) -> None:
    shards = [
        shard(tmp_path / name, {"a": [list(range(first, first + 5)), list(range(first + 5, first + 40))]})
        for name, first in (("0", 0), ("1", 100))
    ]
    inputs = {"blend": blend(tmp_path / "blend.json", {"a": 1.0}), "shards": shards}
    samples = dapt.data(JOB, tmp_path, inputs, single_rank(tmp_path).once).train
    for index in range(8):
        for span in samples.sources(index):
            tokens = samples[index].tokens[span.start : span.end].tolist()
            document = 1 + (tokens[0] % 100 >= 5)
            assert span.name == f"a in shard {tokens[0] // 100}, document {document}"
            assert all((token % 100 >= 5) == (document == 2) for token in tokens)


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
        drawn = component_windows("a", shards, JOB, wanted)
        once = component_windows("a", shards, JOB, len(expected))
    assert sorted(once) == expected
    assert drawn[: len(expected)] == once[:wanted]
