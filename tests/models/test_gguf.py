"""GGUF files: known answers are a tiny random model, and what transformers' own loader reads from the same file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import quantize
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.gguf import tokenizer_files
from tapeout.guard.gguf import BLOCKS
from tapeout.models.gguf import convert_gguf
from tapeout.models.gguf_layout import IN_LAYER, OUTSIDE_LAYERS
from tapeout.models.llama.gguf import LAYOUT
from tapeout.models.tokenizer_file import UnusableModel

pytestmark = pytest.mark.environment("nemo")

FAMILY = "tapeout.models.llama"
ALPHABET = [chr(code) for first, end in ((33, 127), (161, 173), (174, 256), (256, 324)) for code in range(first, end)]
"""The characters that stand for the 256 bytes in a byte-level vocabulary."""
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ m", "o d", "u l", "od ul", "modul e", "m odul", "Ġ Ġ"]
PIECES = [*CONTROL, *ALPHABET, *dict.fromkeys(merge.replace(" ", "") for merge in MERGES)]
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}


def model(tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        **SIZES, vocab_size=len(PIECES), num_key_value_heads=2, tie_word_embeddings=tied, rope_theta=1e5,
        max_position_embeddings=512, rms_norm_eps=1e-5,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def write(path: Path, source: LlamaForCausalLM, kinds: dict[str, Kind], **fields: Any) -> Path:
    """Write a GGUF file as llama.cpp's converter does: rows of queries and keys interleaved."""
    config = source.config
    writer = GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(PIECES)
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(PIECES) - len(CONTROL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages }}")
    for name, value in fields.items():
        writer.add_float32(name.replace("__", "."), value)
    names = {new: old for old, new in {**OUTSIDE_LAYERS, **IN_LAYER}.items()}
    for name, tensor in source.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        parts = name.split(".")
        in_layer = parts[1] == "layers"
        short = names[".".join(parts[3:])] if in_layer else names[name]
        rows = tensor.numpy()
        if parts[-2] in ("q_proj", "k_proj"):
            heads = config.num_attention_heads if parts[-2] == "q_proj" else config.num_key_value_heads
            rows = rows.reshape(heads, 2, -1, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)
        kind = kinds.get(short, Kind.F32)
        target = f"blk.{parts[2]}.{short}" if in_layer else short
        writer.add_tensor(target, quantize(rows, kind) if kind != Kind.F32 else rows.copy(), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("tied", [True, False])
def test_a_file_gives_the_model_that_transformers_loads_from_it(tied: bool, tmp_path: Path) -> None:
    kinds = {"ffn_up.weight": Kind.Q8_0, "attn_q.weight": Kind.Q4_1, "attn_k.weight": Kind.F16}
    original = model(tied)
    file = write(tmp_path / "tiny.gguf", original, kinds)
    report = convert_gguf(file, FAMILY, tmp_path / "new", shard_bytes=60_000)
    converted = AutoModelForCausalLM.from_pretrained(tmp_path / "new", torch_dtype=torch.float32).eval()
    oracle = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, torch_dtype=torch.float32).eval()
    ours, theirs = converted.state_dict(), oracle.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    exact = "model.layers.1.self_attn.v_proj.weight"
    assert torch.equal(ours[exact], original.state_dict()[exact]), "weights without quantization are exact"
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(converted(ids).logits, oracle(ids).logits)
    config = json.loads((tmp_path / "new/config.json").read_bytes())
    assert config["rms_norm_eps"] == 1e-5 and config["tie_word_embeddings"] is tied
    assert report["tensors"]["Q4_1"] == 2 and len(list((tmp_path / "new").glob("*.safetensors"))) > 1
    again = convert_gguf(file, FAMILY, tmp_path / "again", shard_bytes=60_000)
    assert again == report
    for path in sorted((tmp_path / "new").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_the_tokenizer_restores_texts_and_has_no_token_before_them(tmp_path: Path) -> None:
    convert_gguf(write(tmp_path / "tiny.gguf", model(True), {}), FAMILY, tmp_path / "new")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "new")
    for text in ("  module m12;\r\n\tassign é = 8'hFF; ▁ 🙂\0", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(" module 12")["input_ids"])
    assert pieces == ["Ġm", "odul", "e", "Ġ", "1", "2"] and tokenizer.chat_template == "{{ messages }}"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)


@pytest.mark.parametrize("cut", [3, 40, 3000, 60_000])
def test_a_file_that_is_cut_off_is_refused(cut: int, tmp_path: Path) -> None:
    whole = write(tmp_path / "tiny.gguf", model(True), {}).read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:cut])
    with pytest.raises((UnusableModel, InvalidVocabulary)):
        convert_gguf(tmp_path / "cut.gguf", FAMILY, tmp_path / "new")


def test_a_field_that_would_be_lost_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.gguf", model(True), {}, llama__rope__scaling__factor=4.0)
    with pytest.raises(UnusableModel, match="llama.rope.scaling.factor"):
        convert_gguf(file, FAMILY, tmp_path / "new")


def test_the_guard_knows_the_sizes_of_the_library() -> None:
    sizes = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    assert {kind: tuple(sizes[kind]) for kind in BLOCKS} == {
        kind: (many, size) for kind, (_, many, size) in BLOCKS.items()
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *[
            (name, None, f"no list of .* in the field tokenizer.ggml.{name}")
            for name in ("tokens", "token_type", "merges")
        ],
        *[
            (name, 7, f"no list of .* in the field tokenizer.ggml.{name}")
            for name in ("tokens", "token_type", "merges")
        ],
        ("merges", [1], "no list of texts in the field tokenizer.ggml.merges"),
        ("pre", ["smollm"], "the field tokenizer.ggml.pre with the value"),
        ("add_bos_token", "false", "the field tokenizer.ggml.add_bos_token with the value 'false'"),
        ("bos_token_id", len(PIECES), "bos_token_id with the value 266, and pieces 0 to 265"),
        ("padding_token_id", -1, "padding_token_id with the value -1"),
        ("eos_token_id", "2", "eos_token_id with the value '2'"),
    ],
)
def test_fields_of_a_vocabulary_that_are_missing_or_wrong_are_named(name: str, value: Any, message: str) -> None:
    types = [3] * len(CONTROL) + [1] * (len(PIECES) - len(CONTROL))
    fields = {"model": "gpt2", "pre": "smollm", "tokens": PIECES, "token_type": types, "merges": MERGES, name: value}
    given = {f"tokenizer.ggml.{name}": value for name, value in fields.items() if value is not None}
    with pytest.raises(InvalidVocabulary, match=message):
        tokenizer_files(given)


def test_fields_that_llama_cpp_needs_are_needed_and_others_have_its_defaults() -> None:
    numbers = {**LAYOUT.numbers, "rope.dimension_count": "head_dim"}
    fields = dict.fromkeys(numbers, 4)
    for name, known in numbers.items():
        rest = {other: value for other, value in fields.items() if other != name}
        if name in ("rope.freq_base", "rope.dimension_count"):
            assert known not in LAYOUT.config(rest, tied=True)
        elif name == "attention.head_count_kv":
            assert LAYOUT.config({**rest, "attention.head_count": 8}, tied=True)["num_key_value_heads"] == 8
        else:
            with pytest.raises(KeyError, match=name):
                LAYOUT.config(rest, tied=True)


def test_heads_of_which_only_a_part_is_turned_are_refused() -> None:
    fields = {**dict.fromkeys(LAYOUT.numbers, 4), "attention.key_length": 8, "attention.value_length": 8}
    assert LAYOUT.config({**fields, "rope.dimension_count": 8}, tied=True)["head_dim"] == 8
    for change in ({"rope.dimension_count": 4}, {"attention.value_length": 4}):
        with pytest.raises(ValueError, match="attention.key_length is 8"):
            LAYOUT.config({**fields, **change}, tied=True)


@pytest.mark.parametrize(
    ("pre", "stated", "begins"),
    [("llama-bpe", None, True), ("llama-bpe", False, False), ("smollm", None, False), ("smollm", True, True)],
)
def test_a_text_begins_with_bos_as_in_llama_cpp(pre: str, stated: bool | None, begins: bool) -> None:
    fields = {"model": "gpt2", "pre": pre, "tokens": PIECES, "merges": MERGES, "bos_token_id": 0}
    types = {"token_type": [3] * len(CONTROL) + [1] * (len(PIECES) - len(CONTROL))}
    own = {} if stated is None else {"add_bos_token": stated}
    files = tokenizer_files({f"tokenizer.ggml.{name}": value for name, value in {**fields, **types, **own}.items()})
    assert json.loads(files["tokenizer_config.json"])["add_bos_token"] is begins
