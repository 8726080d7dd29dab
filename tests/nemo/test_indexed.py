"""Shards' data sets and Megatron-core: it reads them, and its own preprocessing writes the same bytes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder
from nemo.collections.common.tokenizers.sentencepiece_tokenizer import SentencePieceTokenizer

from tapeout.config.pretraining import BlendJob
from tapeout.data.shards.blend import blend
from tapeout.data.shards.token_files import IndexedWriter, id_type
from tapeout.data.shards.tokens import write_tokens
from tests.data.shards.conftest import WORDS, model

pytestmark = pytest.mark.environment("nemo")

__all__ = ["model"]


def by_megatron(rows: list[str], tokenizer: SentencePieceTokenizer, prefix: Path) -> None:
    """Tokenize documents as tools/preprocess_data.py --append-eod does, with Megatron-core's own builder."""
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=DType.optimal_dtype(tokenizer.vocab_size))
    for row in rows:
        ids = tokenizer.text_to_ids(json.loads(row)["text"])
        if ids:
            ids.append(tokenizer.eos_id)
        builder.add_document(ids, [len(ids)])
    builder.finalize(f"{prefix}.idx")


@pytest.fixture(scope="module")
def shard(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tokenized shard, with its documents."""
    folder = tmp_path_factory.mktemp("shard")
    rows = [
        json.dumps(
            {
                "digest": f"{n:064x}",
                "component": "ab"[n % 3 == 0],
                "text": f"{WORDS}{n}\n\n   é漢 </s>a<s> <unk><0x0A> {WORDS * (n % 7)}",
            }
        )
        for n in range(500)
    ]
    (folder / "documents.jsonl").write_text("\n".join(rows) + "\n")
    write_tokens(folder / "documents.jsonl", None, model, folder / "tokens", True, 1)
    return folder


@pytest.mark.parametrize("component", ["a", "b"])
def test_megatrons_own_preprocessing_writes_the_same_bytes(
    model: Path, shard: Path, tmp_path: Path, component: str
) -> None:
    rows = (shard / "documents.jsonl").read_text().splitlines()
    tokenizer = SentencePieceTokenizer(str(model))
    by_megatron([row for row in rows if json.loads(row)["component"] == component], tokenizer, tmp_path / "megatron")
    for suffix in ("bin", "idx"):
        ours = shard / "tokens" / f"{component}.{suffix}"
        assert ours.read_bytes() == (tmp_path / f"megatron.{suffix}").read_bytes()


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.integers(0, 60_000), min_size=1, max_size=9), min_size=1, max_size=9),
    st.sampled_from([100, 70_000]),
)
def test_any_documents_give_the_same_bytes_as_megatron(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[int]], vocabulary: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    kind = id_type(vocabulary)
    with IndexedWriter(folder / "ours", kind) as writer:
        for ids in documents:
            writer.write(np.array(ids, dtype=kind).tobytes(), [len(ids)])
    builder = IndexedDatasetBuilder(str(folder / "megatron.bin"), dtype=DType.optimal_dtype(vocabulary))
    for ids in documents:
        builder.add_document(ids, [len(ids)])
    builder.finalize(str(folder / "megatron.idx"))
    for suffix in ("bin", "idx"):
        assert (folder / f"ours.{suffix}").read_bytes() == (folder / f"megatron.{suffix}").read_bytes()
    assert [document.tolist() for document in IndexedDataset(str(folder / "ours"))] == documents


def test_a_failure_leaves_no_index(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), IndexedWriter(tmp_path / "ours", id_type(100)) as writer:
        writer.write(b"\1\0", [1])
        raise RuntimeError
    assert not (tmp_path / "ours.idx").exists()


class Tokenizer:
    """Attributes of a tokenizer that GPTDataset reads."""

    eod = 2
    unique_identifiers = {"name": "test"}


@pytest.fixture
def single_process() -> Iterator[None]:
    """Provide a process group of this process alone."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("single_process")
def test_megatron_trains_on_the_blend(shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = json.loads((shard / "tokens" / "report.json").read_bytes())
    (tmp_path / "pretraining" / "tokens").mkdir(parents=True)
    (tmp_path / "pretraining" / "tokens" / "0000").symlink_to(shard / "tokens")
    monkeypatch.chdir(tmp_path)
    blended = blend([report], BlendJob(weights={"a": 1, "b": 3}, shards=("0000",)))
    weights, paths = blended["data_path"][::2], blended["data_path"][1::2]
    config = GPTDatasetConfig(
        random_seed=1,
        sequence_length=64,
        blend=(paths, weights),
        split="1,0,0",
        path_to_cache=str(tmp_path / "cache"),
        tokenizer=Tokenizer(),  # type: ignore[arg-type]
        reset_position_ids=True,
        reset_attention_mask=True,
        eod_mask_loss=True,
    )
    data, _, _ = BlendedMegatronDatasetBuilder(GPTDataset, [200, 0, 0], lambda: True, config).build()
    from_b = sum(int(data.dataset_index[index]) == paths.index("pretraining/tokens/0000/b") for index in range(200))
    assert from_b == pytest.approx(150, abs=2)
    assert data[0]["tokens"].shape == torch.Size([64])
