"""Faults of the published notebooks in the rows of new pieces (docs/faults.md, F10, F14, F18 to F21 and F26)."""

import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaForCausalLM

from tapeout.config.base import BaseExtended
from tapeout.config.bases.tiny import Base
from tapeout.encoder.load import load_encoder
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.encoder.vocabulary import SentencePieceVocabulary, extend
from tapeout.models import llama
from tapeout.models.decoder import nemo_arguments
from tapeout.models.extend import extend_model
from tapeout.models.huggingface import load_huggingface, new_model, save_model
from tapeout.models.weights_folder import FolderWeights
from tapeout.tokenizer.surgery import BLOCK_ROWS, parts_of_new_pieces
from tests.models.small_llama import ARCHITECTURE
from tests.tokenizer.material import BASE, VOCABULARY

pytestmark = pytest.mark.environment("nemo")

PIECES = ["▁clk", "_i", "always", "▁always"]


class Allocations(TorchDispatchMode):
    """Records the bytes of the largest tensor that an operation makes, besides views of tensors that it got."""

    largest = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        given = {tensor.untyped_storage().data_ptr() for tensor in args if isinstance(tensor, torch.Tensor)}
        if isinstance(made, torch.Tensor) and made.device.type == "cpu":
            storage = made.untyped_storage()
            if storage.data_ptr() not in given:
                self.largest = max(self.largest, storage.nbytes())
        return made


def write_base(folder: Path, pieces: list[str], tokenizer: bytes = BASE, **changes: Any) -> Path:
    """Write a model, and beside it its tokenizer with more pieces; return the folder of both."""
    (folder / "base.model").write_bytes(tokenizer)
    (folder / "tokenizer.model").write_bytes(extend(tokenizer, pieces))
    job = Base(architecture={**ARCHITECTURE, "num_layers": 1, **changes})
    model = new_model(job, folder / "base.model")
    model.get_output_embeddings().weight.data += 1
    save_model(model, llama, folder / "base.model", folder / "base")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("model"), PIECES)


def extended(folder: Path, output: Path, **options: Any) -> dict[str, Any]:
    return extend_model(folder / "base", folder / "tokenizer.model", BaseExtended.model_validate(options), output)


def test_f14_parts_have_no_dummy_prefix() -> None:
    pieces, base = ["▁clk", "clk", "▁designs", "designs"], SentencePieceEncoder(BASE)
    parts = parts_of_new_pieces(VOCABULARY, SentencePieceVocabulary(extend(BASE, pieces)))
    assert ["".join(base.id_to_piece(part) for part in ids) for ids in parts] == pieces
    with_prefix = base.processor.encode(pieces[1], out_type=str)
    assert "".join(with_prefix) == "▁clk"


@pytest.mark.parametrize("tied", [False, True])
def test_f18_padding_is_read_by_no_text_and_never_the_most_likely(tmp_path: Path, tied: bool) -> None:
    """Also where every trained logit is negative, so that a row of zeros would win."""
    write_base(tmp_path, PIECES, share_embeddings_and_output_weights=tied)
    report = extended(tmp_path, tmp_path / "new", pad_to=256, output_init="mean")
    weights, encoder = FolderWeights(tmp_path / "new"), load_encoder(tmp_path / "new")
    used, rows = encoder.size, report["rows_after"]
    assert (used, rows, report["padded_rows"]) == (444, 512, 68)
    assert max(encoder.encode("<extra_id_0> <pad> always 444 [445]")) < used
    output = weights["model.embed_tokens.weight" if tied else "lm_head.weight"].double()
    assert tied or not weights["model.embed_tokens.weight"][used:].any()
    states = torch.randn(2000, output.shape[1], generator=torch.manual_seed(1)).double() * 20
    logits = states @ output.T
    assert (logits[:, :440].amax(1) > logits[:, used:].amax(1)).all()
    assert logits.softmax(1)[:, used:].max() < 1 / 440
    assert (logits[:, :440].amax(1) < 0).float().mean() > 0.4


@pytest.mark.parametrize("init", ["mean", "weighted-mean", "zero", "focus"])
def test_f19_the_initial_rows_are_chosen_and_recorded(folder: Path, tmp_path: Path, init: str) -> None:
    report = extended(folder, tmp_path / "new", output_init=init, embedding_init="focus")
    assert (report["embedding_init"], report["output_init"]) == ("focus", init)
    head = FolderWeights(tmp_path / "new")["lm_head.weight"]
    assert head[440:].any() == (init != "zero") and report["old_rows_unchanged"]
    default = extended(folder, tmp_path / "default")
    assert (default["embedding_init"], default["output_init"], default["padded_rows"]) == ("mean", "zero", 0)


@pytest.mark.parametrize(("multiple", "padding"), [(1, 0), (4, 0), (444, 0), (443, 442), (64, 4), (1024, 580)])
def test_f20_only_missing_rows_are_added(folder: Path, tmp_path: Path, multiple: int, padding: int) -> None:
    report = extended(folder, tmp_path / "new", pad_to=multiple)
    assert report["padded_rows"] == padding and report["rows_after"] == 444 + padding
    assert load_huggingface(tmp_path / "new").config.vocab_size == 444 + padding


def test_f21_the_padded_shape_is_the_same_for_every_tensor_parallelism(folder: Path, tmp_path: Path) -> None:
    rows = extended(folder, tmp_path / "new", pad_to=128 * 8)["rows_after"]
    divisible_by = nemo_arguments(llama.Architecture(), rows)["make_vocab_size_divisible_by"]
    for ranks in (1, 2, 4, 8):
        multiple = divisible_by * ranks
        assert -(-rows // multiple) * multiple == rows


@pytest.mark.parametrize(("dtype", "max_shard_bytes"), [("bfloat16", 10**9), ("float32", 10**6)])
def test_memory_is_bounded_by_a_block_of_rows(tmp_path: Path, dtype: str, max_shard_bytes: int) -> None:
    """No tensor is made that is larger than a block in 64 bits, although the matrices are, nor a copy outside torch."""
    write_base(tmp_path, PIECES, extend(BASE, [f"q{n}q" for n in range(4000)]), hidden_size=256, params_dtype=dtype)
    job = BaseExtended(embedding_init="weighted-mean", output_init="mean", pad_to=1024)
    tracemalloc.start()
    with Allocations() as made:
        extend_model(tmp_path / "base", tmp_path / "tokenizer.model", job, tmp_path / "new", max_shard_bytes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    matrix = FolderWeights(tmp_path / "new")["lm_head.weight"]
    assert len(matrix) == 5120 and made.largest <= BLOCK_ROWS * 256 * 8 < 4440 * 256 * 2
    assert peak < 4440 * 256 * 2


def test_f10_the_layout_of_the_files_is_that_of_the_model(folder: Path, tmp_path: Path) -> None:
    """A model in many files is extended as one in a single file is: no number of files is assumed."""
    shutil.copytree(folder, tmp_path / "many")
    load_huggingface(folder / "base").save_pretrained(tmp_path / "many/base", max_shard_size="20KB")
    (tmp_path / "many/base/model.safetensors").unlink()
    assert len(list((tmp_path / "many/base").glob("*.safetensors"))) > 2
    extended(folder, tmp_path / "one")
    extended(tmp_path / "many", tmp_path / "other")
    one, other = FolderWeights(tmp_path / "one"), FolderWeights(tmp_path / "other")
    assert set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_f26_the_extended_model_is_in_the_format_of_hugging_face(folder: Path, tmp_path: Path) -> None:
    extended(folder, tmp_path / "extended")
    model = LlamaForCausalLM.from_pretrained(tmp_path / "extended")
    size = load_encoder(tmp_path / "extended/tokenizer.model").size
    assert size == VOCABULARY.encoder.size + len(PIECES)
    assert len(model.get_input_embeddings().weight) == len(model.get_output_embeddings().weight) == size
