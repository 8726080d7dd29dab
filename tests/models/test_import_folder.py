"""A Hugging Face folder becomes the base model unchanged, or is refused before its weights are read."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tapeout.config.base import ImportJob
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.models import llama
from tapeout.models.huggingface import load_huggingface
from tapeout.models.import_folder import import_folder, nemo_model
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.models.weights_folder import INDEX
from tests.tokenizer.material import BASE

pytestmark = pytest.mark.environment("nemo")

SIZES = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_attention_heads": 4,
    "num_query_groups": 2,
    "ffn_hidden_size": 48,
    "seq_length": 64,
}
PIECES = SentencePieceEncoder(BASE).size
PADDING = 8


def job(**changed: Any) -> ImportJob:
    values = {"kind": "huggingface", "source": "model", "vocab_size": PIECES, "tokenizer": "tokenizer.model"}
    return ImportJob.model_validate({**values, "architecture": SIZES, **changed})


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random model in several files, as transformers writes it."""
    folder = tmp_path_factory.mktemp("sharded")
    encoder = SentencePieceEncoder(BASE)
    ids = {"bos_token_id": encoder.bos, "eos_token_id": encoder.eos, "pad_token_id": None}
    torch.manual_seed(3)
    model = llama.model_class()(llama.huggingface_config(job().architecture, PIECES, **ids))
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    (folder / "tokenizer.model").write_bytes(BASE)
    (folder / "pytorch_model.bin").write_bytes(b"not read, because there are safetensors files")
    (folder / "consolidated.safetensors").write_bytes(b"all weights again, in the vendor's layout")
    (folder / "modeling_new.py").write_text("raise SystemExit('was executed')\n")
    return folder


@pytest.fixture
def source(sharded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sharded, tmp_path / "source")


def edit(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_files_are_copied_byte_for_byte(source: Path, tmp_path: Path) -> None:
    import_folder(source, tmp_path / "base", job())
    copied = {path.name for path in (tmp_path / "base").iterdir()}
    left_out = {"pytorch_model.bin", "consolidated.safetensors", "modeling_new.py"}
    assert copied == {path.name for path in source.iterdir()} - left_out | {"import.json"}
    for name in copied - {"import.json"}:
        assert (tmp_path / "base" / name).read_bytes() == (source / name).read_bytes()
    report = json.loads((tmp_path / "base/import.json").read_text())
    assert (report["dtype"], report["rows"], report["padding_rows"]) == ("float32", PIECES, 0)
    model = load_huggingface(tmp_path / "base")
    assert report["parameters"] == sum(weight.numel() for weight in model.parameters())


def test_a_copy_of_a_tied_embedding_counts_once(tmp_path: Path) -> None:
    tied = job(architecture={**SIZES, "share_embeddings_and_output_weights": True})
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    model = llama.model_class()(llama.huggingface_config(tied.architecture, PIECES, **ids))
    model.save_pretrained(tmp_path / "source")
    (tmp_path / "source/tokenizer.model").write_bytes(BASE)
    file = tmp_path / "source/model.safetensors"
    weights = load_file(file)
    save_file({**weights, "lm_head.weight": weights["model.embed_tokens.weight"].clone()}, file, {"format": "pt"})
    import_folder(tmp_path / "source", tmp_path / "base", tied)
    assert json.loads((tmp_path / "base/import.json").read_text())["parameters"] == model.num_parameters()
    save_file({**weights, "lm_head.weight": weights["model.embed_tokens.weight"] + 1}, file, {"format": "pt"})
    with pytest.raises(UnusableModel, match=r"lm_head\.weight differs from model\.embed_tokens\.weight"):
        import_folder(tmp_path / "source", tmp_path / "other", tied)
    assert not (tmp_path / "other").exists()


def test_a_folder_in_an_archive_is_the_same(source: Path, tmp_path: Path) -> None:
    (tmp_path / "wheel").mkdir()
    with zipfile.ZipFile(tmp_path / "wheel/model.whl", "w") as archive:
        for path in sorted(source.iterdir()):
            archive.write(path, f"package/weights/{path.name}")
        archive.writestr("package/weights/../../config.json", "{}")
        archive.writestr("package/config.json", "{}")
    import_folder(source, tmp_path / "one", job())
    import_folder(tmp_path / "wheel", tmp_path / "other", job(path="package/weights"))
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert one == other
    with pytest.raises(UnusableModel, match=r"The archive model\.whl has no config\.json in its top folder"):
        import_folder(tmp_path / "wheel", tmp_path / "third", job())


def test_rows_beyond_the_vocabulary_are_padding(source: Path, tmp_path: Path) -> None:
    for path in sorted(source.glob("model-*.safetensors")):
        tensors = load_file(path)
        for name in {"model.embed_tokens.weight", "lm_head.weight"} & tensors.keys():
            tensors[name] = torch.cat([tensors[name], torch.zeros(PADDING, SIZES["hidden_size"])])
        save_file(tensors, path, metadata={"format": "pt"})
    edit(source / "config.json", vocab_size=PIECES + PADDING)
    import_folder(source, tmp_path / "base", job(vocab_size=PIECES + PADDING))
    assert json.loads((tmp_path / "base/import.json").read_text())["padding_rows"] == PADDING


def drop_weights(folder: Path) -> None:
    for path in (*folder.glob("*.safetensors"), folder / INDEX):
        path.unlink()


def shard(folder: Path) -> Path:
    return sorted(folder.glob("*.safetensors"))[1]


def narrow(folder: Path) -> None:
    save_file({name: tensor.bfloat16() for name, tensor in load_file(shard(folder)).items()}, shard(folder))


def swap(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    first, *_, last = sorted(index["weight_map"])
    index["weight_map"][first], index["weight_map"][last] = index["weight_map"][last], index["weight_map"][first]
    (folder / INDEX).write_text(json.dumps(index))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pickle": (drop_weights, "There is no model.safetensors in "),
    "shard missing": (lambda folder: shard(folder).unlink(), f"is missing, in which {INDEX} says that "),
    "index missing": (lambda folder: (folder / INDEX).unlink(), f"safetensors files, but no {INDEX}"),
    "another index": (swap, f", but not according to {INDEX}"),
    "truncated": (
        lambda folder: shard(folder).write_bytes(shard(folder).read_bytes()[:-9]),
        "is truncated, or continues after its end",
    ),
    "two types": (narrow, "have the type bfloat16 and float32, and config.json states torch_dtype float32"),
    "another family": (lambda folder: edit(folder / "config.json", model_type="gpt2"), "has model_type 'gpt2'"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.model").unlink(), "The model has no tokenizer.model."),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
    "half of a character": (
        lambda folder: (folder / "tokenizer_config.json").write_text('{"chat_template": "\\ud83d"}'),
        "tokenizer_config.json is not JSON: 'utf-8' codec can't encode character",
    ),
    "no type of numbers": (lambda folder: edit(folder / "config.json", torch_dtype=[]), "config.json cannot be read: "),
    "end of answers": (
        lambda folder: edit(folder / "generation_config.json", eos_token_id=[2, "</s>"]),
        "generation_config.json has eos_token_id [2, '</s>'], and the model has ",
    ),
    "generation": (
        lambda folder: edit(folder / "generation_config.json", num_return_sequences=2),
        "generation_config.json cannot be read: ",
    ),
    "a list": (lambda folder: (folder / "config.json").write_text("[]"), "config.json is not a JSON object"),
    "special id": (lambda folder: edit(folder / "config.json", eos_token_id=7), "eos_token_id 7"),
    "lost option": (lambda folder: edit(folder / "config.json", attention_bias=True), "attention_bias True"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_or_unsafe_model_is_refused(name: str, source: Path, tmp_path: Path) -> None:
    damage, message = DAMAGE[name]
    damage(source)
    with pytest.raises(UnusableModel) as error:
        import_folder(source, tmp_path / "base", job())
    assert message in error.value.cause
    assert not (tmp_path / "base").exists()


def test_a_model_with_fewer_rows_than_pieces_is_refused(source: Path, tmp_path: Path) -> None:
    edit(source / "config.json", vocab_size=PIECES - 1)
    with pytest.raises(UnusableModel, match=f"vocab_size {PIECES - 1}, but its tokenizer has {PIECES}"):
        import_folder(source, tmp_path / "base", job(vocab_size=PIECES - 1))


def test_every_difference_from_the_configuration_is_listed(source: Path, tmp_path: Path) -> None:
    stated = {**SIZES, "num_layers": 3, "rotary_base": 500000.0}
    with pytest.raises(UnusableModel) as error:
        import_folder(source, tmp_path / "base", job(architecture=stated, vocab_size=PIECES + 1))
    assert (
        f"vocab_size is {PIECES}, not {PIECES + 1}; num_layers is 2, not 3; rotary_base is 10000.0, not 500000.0"
        in (error.value.cause)
    )
    assert "base.architecture" in error.value.fix
    with pytest.raises(UnusableModel, match=r"has no tokenizer\.json, but tokenizer\.model"):
        import_folder(source, tmp_path / "base", job(tokenizer="tokenizer.json"))


def test_the_model_of_nemo_in_a_source_is_found(tmp_path: Path) -> None:
    for name in ("a.nemo", "README.md"):
        (tmp_path / name).write_bytes(b"")
    assert nemo_model(tmp_path, "") == nemo_model(tmp_path, "a.nemo") == tmp_path / "a.nemo"
    (tmp_path / "b.nemo").write_bytes(b"")
    with pytest.raises(UnusableModel, match=r"has several models of NeMo \(files: README\.md, a\.nemo, b\.nemo\)"):
        nemo_model(tmp_path, "")
    with pytest.raises(UnusableModel, match="has no model of NeMo"):
        nemo_model(tmp_path, "c.nemo")
    (tmp_path / "context").mkdir()
    assert nemo_model(tmp_path, "") == tmp_path / ""
