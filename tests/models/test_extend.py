"""Extension of a model by rows for new pieces."""

import json
from pathlib import Path

import pytest
import torch
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer

from tapeout.config.base import BaseExtended
from tapeout.config.bases.tiny import Base
from tapeout.encoder.load_vocabulary import load_vocabulary
from tapeout.encoder.vocabulary import extend
from tapeout.models import llama
from tapeout.models.extend import extend_model
from tapeout.models.huggingface import load_huggingface, new_model, save_model
from tapeout.tokenizer.surgery import parts_of_new_pieces
from tests.models.small_llama import ARCHITECTURE
from tests.tokenizer.material import BASE

pytestmark = pytest.mark.environment("nemo")

JOB = Base(architecture={**ARCHITECTURE, "num_layers": 1})
PIECES = ["▁clk", "_i", "always", "▁always"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.model").write_bytes(BASE)
    (tmp_path / "tokenizer.model").write_bytes(extend(BASE, PIECES))
    save_model(new_model(JOB, tmp_path / "base.model"), llama, tmp_path / "base.model", tmp_path / "base")
    return tmp_path


@pytest.mark.parametrize("output_init", ["mean", "zero"])
def test_old_tokens_are_predicted_as_before(folder: Path, output_init: str) -> None:
    job = BaseExtended.model_validate({"output_init": output_init})
    report = extend_model(folder / "base", folder / "tokenizer.model", job, folder / "extended")
    model = load_huggingface(folder / "extended")
    base = load_huggingface(folder / "base")
    rows = base.config.vocab_size
    ids = torch.arange(3, 19)[None]
    with torch.no_grad():
        new, old = model(ids).logits, base(ids).logits
    torch.testing.assert_close(new[..., :rows], old)
    assert new.shape[-1] == rows + len(PIECES) == report["rows_after"]
    assert (new[..., rows:] == 0).all() == (output_init == "zero")
    assert report["output_init"] == output_init


def test_tied_embeddings_are_extended_as_one_matrix_in_their_type(folder: Path) -> None:
    """The rows of the base hold their number, so that the mean of a piece's parts is known."""
    options = {"share_embeddings_and_output_weights": True, "params_dtype": "bfloat16"}
    job = Base(architecture={**JOB.architecture.model_dump(), **options})
    base = new_model(job, folder / "base.model")
    with torch.no_grad():
        base.get_input_embeddings().weight.copy_(torch.arange(440.0)[:, None].expand(-1, 16))
    save_model(base, llama, folder / "base.model", folder / "tied")
    report = extend_model(folder / "tied", folder / "tokenizer.model", BaseExtended(), folder / "extended")
    loaded = load_huggingface(folder / "extended", keep_dtype=True)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    weight = loaded.get_input_embeddings().weight
    assert weight.dtype == torch.bfloat16 and loaded.config.torch_dtype == torch.bfloat16
    parts = parts_of_new_pieces(*(load_vocabulary(folder / name) for name in ("base.model", "tokenizer.model")))
    means = torch.tensor([torch.tensor(ids).bfloat16().float().mean() for ids in parts]).bfloat16()
    assert torch.equal(weight[440:, 0], means) and torch.equal(weight[:440], base.get_input_embeddings().weight)
    assert report["tied"] and report["output_init"] == "mean" and report["rows_after"] == len(weight) == 444


def test_further_ends_of_a_text_are_kept(folder: Path) -> None:
    for name in ("config.json", "generation_config.json"):
        content = json.loads((folder / "base" / name).read_text())
        (folder / "base" / name).write_text(json.dumps({**content, "eos_token_id": [2, 7], "pad_token_id": 0}))
    extend_model(folder / "base", folder / "tokenizer.model", BaseExtended(), folder / "extended")
    for name in ("config.json", "generation_config.json"):
        content = json.loads((folder / "extended" / name).read_text())
        assert content["eos_token_id"] == [2, 7] and content["pad_token_id"] == 0


def test_settings_of_generation_that_transformers_does_not_write_are_reduced_to_ids(folder: Path) -> None:
    """As of Llama 2: a temperature without sampling."""
    path = folder / "base/generation_config.json"
    ids = {"bos_token_id": 1, "eos_token_id": [2, 7]}
    path.write_text(json.dumps({**ids, "pad_token_id": -1, "temperature": 0.9, "top_p": 0.6}))
    extend_model(folder / "base", folder / "tokenizer.model", BaseExtended(), folder / "extended")
    written = json.loads((folder / "extended/generation_config.json").read_text())
    assert {name: value for name, value in written.items() if name != "transformers_version"} == ids


def test_a_model_in_several_files_is_extended_as_in_one(folder: Path) -> None:
    load_huggingface(folder / "base").save_pretrained(folder / "sharded", max_shard_size="20KB")
    (folder / "sharded/tokenizer.model").write_bytes(BASE)
    for source in ("base", "sharded"):
        extend_model(folder / source, folder / "tokenizer.model", BaseExtended(), folder / f"of {source}")
    assert len(list((folder / "sharded").glob("*.safetensors"))) > 1
    for path in (folder / "of base").iterdir():
        assert (folder / "of sharded" / path.name).read_bytes() == path.read_bytes()
    extend_model(folder / "base", folder / "tokenizer.model", BaseExtended(), folder / "split", max_shard_bytes=20_000)
    assert len(list((folder / "split").glob("*.safetensors"))) > 1
    one, split = (load_huggingface(folder / name).state_dict() for name in ("of base", "split"))
    assert all(torch.equal(one[name], split[name]) for name in one)


def test_a_saved_folder_is_complete_and_repeatable(folder: Path) -> None:
    names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.model", "tokenizer_config.json"]
    contents = []
    for copy in ("one", "two"):
        extend_model(folder / "base", folder / "tokenizer.model", BaseExtended(), folder / copy)
        assert sorted(path.name for path in (folder / copy).iterdir()) == names
        contents.append([(folder / copy / name).read_bytes() for name in names])
    assert contents[0] == contents[1]
    assert not any(str(folder).encode() in content for content in contents[0])
    config = json.loads((folder / "one" / "config.json").read_text())
    assert config["vocab_size"] == len(load_huggingface(folder / "one").lm_head.weight)


def test_the_saved_tokenizer_gives_sentencepiece_ids(folder: Path) -> None:
    extend_model(folder / "base", folder / "tokenizer.model", BaseExtended(), folder / "extended")
    tokenizer = AutoTokenizer.from_pretrained(folder / "extended", use_fast=False)
    pieces = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    text = "always_ff @(posedge clk_i)  begin\n\tassign a = b;"
    assert tokenizer(text)["input_ids"] == [1, *pieces.encode(text)]
    reserved = "</s> a<s>b <unk>\n<0x0A> </s></s>"
    assert tokenizer(reserved, split_special_tokens=True)["input_ids"] == [1, *pieces.encode(reserved)]
    assert len(tokenizer) == pieces.get_piece_size()
