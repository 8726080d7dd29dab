"""GGUF files of exported models: known answers are transformers' own loader, and the library's names of tensors."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFReader, get_tensor_name_map
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from tapeout import plugins
from tapeout.config.export import ExportGgufJob
from tapeout.data.io.jsonl import write_jsonl
from tapeout.deploy.gguf import FILE_TYPES, layout_of, write_gguf
from tapeout.deploy.gguf_check import check_gguf, export_gguf
from tapeout.deploy.huggingface import fixed_tokens, parity_ids
from tapeout.deploy.model_card import CARD, FENCE
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings, write_tokenizer
from tapeout.deploy.token_ids import read_sets
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.gguf import tokenizer_fields
from tapeout.encoder.load import load_encoder
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.guard.errors import UnusableModel
from tapeout.models.family import load_family
from tapeout.nemo.convert import ConversionMismatch
from tests.byte_level_material import write_tokenizer as write_byte_level
from tests.deploy.material import MODEL, ODD, RUNS, conversations, export_job, make_set, questions

pytestmark = pytest.mark.environment("nemo")

SMALL = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "num_query_groups": 2, "ffn_hidden_size": 48}
SCALED = {"rope_scaling": {"scale_factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "old_context_len": 32}}
TIED = {"share_embeddings_and_output_weights": True}
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama": ("llama", {"rotary_base": 500.0}, "sentencepiece"),
    "llama, tied": ("llama", {**TIED, "params_dtype": "float16"}, "llama3"),
    "llama, wide heads": ("llama", {"kv_channels": 16, "params_dtype": "bfloat16"}, "smollm2"),
    "llama, scaled": ("llama", {**SCALED, "kv_channels": 16, "seq_length": 512, "rotary_base": 500.0}, "sentencepiece"),
    "mistral": ("mistral", {"kv_channels": 16}, "sentencepiece"),
    "qwen2": ("qwen2", {"params_dtype": "bfloat16"}, "qwen2"),
    "qwen2, tied": ("qwen2", TIED, "gpt2"),
    "qwen3": ("qwen3", {**TIED, "kv_channels": 16}, "qwen2"),
    "nemotron": ("nemotron", {}, "sentencepiece"),
    "nvidia_gpt": ("nvidia_gpt", {"rotary_percent": 0.25, "kv_channels": 8}, "sentencepiece"),
}
"""Family, options and tokenizer of each model."""
READ_BY_TRANSFORMERS = ("llama", "qwen2", "nemotron", "nvidia_gpt")
"""Families whose files transformers 4.51 reads with the same classes."""
PADDING = 3
ENCODER_SIZE = SentencePieceEncoder(MODEL).size


def write_known(folder: Path, kind: str) -> Path:
    """Write a byte-level tokenizer that splits texts exactly as the well-known one does; Qwen's has single digits."""
    path = write_byte_level(folder, kind, lines=RUNS)
    if kind == "qwen2":
        path.write_text(path.read_text().replace(r"\\p{N}{1,3}", r"\\p{N}"))
    return path


def export(folder: Path, name: str, seed: int = 0) -> tuple[Path, ExportGgufJob, list[tuple[Path, Path]], list[Path]]:
    """Write an exported model with random weights, norms and biases too, and the rows and texts of its training."""
    module, options, kind = MODELS[name]
    tokenizer = folder / "tokenizer"
    if kind == "sentencepiece":
        tokenizer.mkdir()
        (tokenizer / "tokenizer.model").write_bytes(MODEL)
    else:
        write_known(tokenizer, kind)
    encoder, family = load_encoder(tokenizer), load_family(module)
    architecture = family.Architecture.model_validate({**SMALL, **options})
    ids = {"bos_token_id": encoder.bos, "eos_token_id": encoder.eos}
    torch.manual_seed(seed)
    model = family.model_class()(family.huggingface_config(architecture, encoder.size + PADDING, **ids))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    output = folder / "export"
    model.to(getattr(torch, architecture.params_dtype)).save_pretrained(output)
    job = export_job("aligner")
    sets = [make_set(tokenizer, "q", questions(), job), make_set(tokenizer, "chats", conversations(), job)]
    shapes, _ = read_sets(sets)
    (file,) = (path for path in tokenizer.iterdir() if path.name in ("tokenizer.model", "tokenizer.json"))
    write_tokenizer(file, output, family, job, shapes, 256)
    stops = stop_settings(ends_of_answers(encoder, job, shapes), encoder.eos)
    (output / "generation_config.json").write_text(json.dumps(stops))
    (output / CARD).write_text(FENCE + yaml.safe_dump({"license": "apache-2.0"}) + FENCE + "\n# Card\n")
    texts = folder / "corpus" / "domain" / "test.jsonl"
    texts.parent.mkdir(parents=True)
    write_jsonl(texts, [{"text": text} for text in (*ODD, "".join(RUNS))])
    given = ExportGgufJob(parity_tokens=40, encoding=job.encoding, systems=job.systems)
    return output, given, sets, [texts]


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, ExportGgufJob, list[tuple[Path, Path]], list[Path]]:
    return export(tmp_path, "llama")


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_the_model_that_was_exported(name: str, tmp_path: Path, capsys: Any) -> None:
    folder, job, sets, texts = export(tmp_path, name)
    export_gguf(folder, tmp_path / "model.gguf", job, sets, texts)
    report = capsys.readouterr().out
    assert f"texts: {len(ODD) + 1}\n" in report and "largest difference of a logit: " in report
    again = tmp_path / "again.gguf"
    write_gguf(folder, again)
    assert again.read_bytes() == (tmp_path / "model.gguf").read_bytes()
    if MODELS[name][0] in READ_BY_TRANSFORMERS:
        original = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
        read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", torch_dtype=torch.float32).eval()
        one, other = original.state_dict(), read.state_dict()
        assert one.keys() == other.keys()
        differences = {key: float((one[key] - other[key]).abs().max()) for key in one}
        assert max(differences.values()) <= (1e-6 if "nemotron" in name else 0), differences


@pytest.mark.parametrize("name", MODELS)
def test_names_of_tensors_are_those_of_the_library(name: str, tmp_path: Path) -> None:
    folder, *_ = export(tmp_path, name)
    layout = layout_of(folder)
    (architecture,) = (known for known, text in MODEL_ARCH_NAMES.items() if text == layout.architecture)
    known = get_tensor_name_map(MODEL_ARCH(architecture), 2)
    write_gguf(folder, tmp_path / "model.gguf")
    written = {tensor.name for tensor in GGUFReader(tmp_path / "model.gguf").tensors} - {"rope_freqs.weight"}
    names = AutoModelForCausalLM.from_pretrained(folder).state_dict().keys()
    expected = {key: known.get_name(key, try_suffixes=(".weight", ".bias")) for key in names}
    if "tied" in name or name == "qwen3":
        expected.pop("lm_head.weight")
    assert {key: layout.stored_name(key) for key in expected} == expected and written == set(expected.values())
    assert all(layout.name_of(stored) == key for key, stored in expected.items())


@pytest.mark.parametrize("kind", FILE_TYPES)
@pytest.mark.parametrize("name", ["llama", "nemotron", "llama, wide heads"])
def test_matrices_have_the_type_of_the_configuration(kind: str, name: str, tmp_path: Path) -> None:
    folder, job, sets, texts = export(tmp_path, name)
    chosen = job.model_copy(update={"gguf_dtype": kind})
    export_gguf(folder, tmp_path / "model.gguf", chosen, sets, texts)
    reader = GGUFReader(tmp_path / "model.gguf")
    assert reader.fields["general.file_type"].contents() == FILE_TYPES[kind]
    assert {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) == 2} == {kind.upper()}
    assert {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) == 1} == {"F32"}


def test_a_weight_that_a_type_cannot_hold_is_an_error(tmp_path: Path) -> None:
    folder, *_ = export(tmp_path, "llama, wide heads")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight[3, 4] = 1e6
    model.to(torch.bfloat16).save_pretrained(folder)
    cause = r"A weight of lm_head.weight is too large for the type f16.\n  fix: Set export.gguf_dtype to bf16 or f32."
    with pytest.raises(UnusableModel, match=cause):
        write_gguf(folder, tmp_path / "model.gguf", "f16")
    assert not [*tmp_path.glob("*.gguf*"), *tmp_path.glob(".*")], "nothing is left"


@pytest.mark.parametrize("kind", [None, *FILE_TYPES])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_no_number_is_an_error(kind: str | None, number: float, tmp_path: Path) -> None:
    folder, *_ = export(tmp_path, "llama")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][2, 3] = number
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnusableModel, match=r"A weight of model.layers.1.mlp.up_proj.weight is NaN or infinite"):
        write_gguf(folder, tmp_path / "model.gguf", kind)
    assert not [*tmp_path.glob("*.gguf*"), *tmp_path.glob(".*")], "nothing is left"


INCOMPLETE: dict[str, tuple[str, str | None, str]] = {
    "no card": (CARD, None, "no card with metadata"),
    "no metadata": (CARD, "# Card\n", "no card with metadata"),
    "metadata is a text": (CARD, f"{FENCE}text\n{FENCE}", "no card with metadata"),
    "metadata is no YAML": (CARD, f"{FENCE}a: [\n{FENCE}", "no card with metadata"),
    "no generation": ("generation_config.json", None, "no valid generation_config.json"),
    "generation is no JSON": ("generation_config.json", "{", "no valid generation_config.json"),
    "no end": ("generation_config.json", "{}", "Answers end with null"),
    "ends are null": ("generation_config.json", '{"eos_token_id": null}', "Answers end with null"),
    "ends are empty": ("generation_config.json", '{"eos_token_id": []}', r"Answers end with \[\]"),
    "end is a text": ("generation_config.json", '{"eos_token_id": [2, "3"]}', r'Answers end with \[2, "3"\]'),
    "end is too large": ("generation_config.json", '{"eos_token_id": [2, 99999]}', r"Answers end with \[2, 99999\]"),
    "end is negative": ("generation_config.json", '{"eos_token_id": -1}', "Answers end with -1"),
}
"""A file of an exported folder, its content and the error; None for a missing file."""


@pytest.mark.parametrize("case", INCOMPLETE)
def test_a_folder_that_lacks_what_the_file_states_is_a_named_error(case: str, exported: Any, tmp_path: Path) -> None:
    folder, *_ = exported
    name, content, message = INCOMPLETE[case]
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(UnusableModel, match=message):
        write_gguf(folder, tmp_path / "model.gguf")
    assert not [*tmp_path.glob("*.gguf*"), *tmp_path.glob(".*")], "nothing is left"


@pytest.mark.parametrize("template", [None, 7, [], [{"name": "question", "template": "x"}], [{"name": "default"}]])
def test_a_folder_without_a_default_chat_template_is_a_named_error(
    template: Any, exported: Any, tmp_path: Path
) -> None:
    folder, *_ = exported
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": template}))
    with pytest.raises(UnusableModel, match="has no chat template"):
        write_gguf(folder, tmp_path / "model.gguf")


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_a_file_that_is_not_the_model_is_not_left(change: str, exported: Any, tmp_path: Path) -> None:
    folder, job, sets, texts = exported
    weights = load_file(folder / "model.safetensors")
    if change == "missing":
        del weights["model.norm.weight"]
    else:
        weights["model.norm.weight"] = torch.ones(31)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    before = sorted(path.name for path in tmp_path.iterdir())
    found = "is missing" if change == "missing" else r"has the shape \[31\]"
    cause = rf"model.norm.weight {found}, and in the model of config.json it has the shape \[32\]"
    with pytest.raises(UnusableModel, match=cause):
        export_gguf(folder, tmp_path / "model.gguf", job, sets, texts)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_logits_are_compared_on_no_more_tokens_than_the_context() -> None:
    config = AutoConfig.for_model("llama", vocab_size=50, max_position_embeddings=16)
    assert [parity_ids(config, count).shape for count in (1, 16, 17, 999)] == [(1, 1), (1, 16), (1, 16), (1, 16)]
    assert torch.equal(parity_ids(config, 999), fixed_tokens(50, 16))


def test_the_fields_are_those_of_the_export(exported: Any, tmp_path: Path) -> None:
    folder, *_ = exported
    write_gguf(folder, tmp_path / "model.gguf")
    fields = {name: field.contents() for name, field in GGUFReader(tmp_path / "model.gguf").fields.items()}
    encoder = load_encoder(folder)
    assert fields["general.license"] == "apache-2.0" and fields["tokenizer.ggml.eos_token_id"] == encoder.eos
    mark = encoder.encode("\x11")[-1]
    assert fields["tokenizer.ggml.eot_token_id"] == mark, "where an answer of a conversation ends"
    assert fields["tokenizer.ggml.add_bos_token"] is True and fields["tokenizer.ggml.add_space_prefix"] is True
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert tokens[-PADDING:] == [f"[PAD{encoder.size + index}]" for index in range(PADDING)]
    assert types[:4] == [2, 3, 3, 6] and types[-PADDING:] == [5] * PADDING
    templates = json.loads((folder / "tokenizer_config.json").read_text())["chat_template"]
    assert fields["tokenizer.chat_template"] == templates[0]["template"] and templates[0]["name"] == "default"
    assert str(tmp_path) not in str(fields)


def test_an_answer_can_end_with_at_most_three_tokens(exported: Any, tmp_path: Path) -> None:
    folder, *_ = exported
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5, 6, 7]}))
    with pytest.raises(UnusableModel, match="Answers end with 4 different tokens"):
        write_gguf(folder, tmp_path / "model.gguf")


def offset_of(file: Path, name: str) -> int:
    """Return the position in a file of the first byte of a tensor."""
    (tensor,) = (tensor for tensor in GGUFReader(file).tensors if tensor.name == name)
    return int(tensor.data_offset)


def number_of(file: Path, name: str) -> int:
    """Return the position in a file of the value of a field that is a number."""
    field = GGUFReader(file).fields[name]
    return int(field.offset) + sum(part.nbytes for part in field.parts[:-1])


CHANGES: dict[str, tuple[Callable[[Path], tuple[int, bytes]], str]] = {
    "tensor": (lambda file: (offset_of(file, "blk.1.attn_q.weight") + 9, b"\x7d"), "layers.1.self_attn.q_proj.weight"),
    "norm": (lambda file: (offset_of(file, "output_norm.weight") + 1, b"\x01"), "model.norm.weight"),
    "epsilon": (
        lambda file: (number_of(file, "llama.attention.layer_norm_rms_epsilon"), struct.pack("<f", 1e-6)),
        "llama.attention.layer_norm_rms_epsilon",
    ),
    "bos": (lambda file: (number_of(file, "tokenizer.ggml.bos_token_id"), struct.pack("<I", 2)), "bos_token_id"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_byte_is_a_named_error(change: str, exported: Any, tmp_path: Path) -> None:
    folder, job, sets, texts = exported
    file = tmp_path / "model.gguf"
    write_gguf(folder, file)
    where, message = CHANGES[change]
    position, content = where(file)
    whole = bytearray(file.read_bytes())
    assert whole[position : position + len(content)] != content
    whole[position : position + len(content)] = content
    file.write_bytes(whole)
    with pytest.raises(ConversionMismatch, match=message):
        check_gguf(file, folder, job, sets, texts)


def test_a_file_of_another_model_is_a_named_error(exported: Any, tmp_path: Path) -> None:
    folder, job, sets, texts = exported
    (tmp_path / "other").mkdir()
    other, *_ = export(tmp_path / "other", "llama", seed=1)
    write_gguf(other, tmp_path / "model.gguf")
    with pytest.raises(ConversionMismatch, match="has other numbers than the model"):
        check_gguf(tmp_path / "model.gguf", folder, job, sets, texts)


def test_a_tokenizer_that_splits_texts_in_an_unknown_way_is_refused(tmp_path: Path) -> None:
    path = write_byte_level(tmp_path, "smollm2", lines=RUNS)
    document = json.loads(path.read_text())
    document["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = False
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidVocabulary, match="for which llama.cpp has no name that Tapeout knows"):
        tokenizer_fields(tmp_path, 500)


@pytest.mark.parametrize(
    ("kind", "name"), [("gpt2", "gpt-2"), ("llama3", "llama-bpe"), ("smollm2", "smollm"), ("qwen2", "qwen2")]
)
def test_the_way_to_split_texts_has_the_name_that_llama_cpp_gives_it(kind: str, name: str, tmp_path: Path) -> None:
    assert tokenizer_fields(write_known(tmp_path, kind), 500)["pre"] == name


def test_scaled_positions_have_the_divisors_of_transformers(tmp_path: Path) -> None:
    folder, job, sets, texts = export(tmp_path, "llama, scaled")
    write_gguf(folder, tmp_path / "model.gguf")
    (tensor,) = (tensor for tensor in GGUFReader(tmp_path / "model.gguf").tensors if tensor.name == "rope_freqs.weight")
    config = AutoConfig.from_pretrained(folder)
    scaled, plain = (ROPE_INIT_FUNCTIONS[kind](config, device="cpu")[0] for kind in ("llama3", "default"))
    assert torch.allclose(torch.from_numpy(tensor.data.copy()), plain / scaled, rtol=1e-6)
    assert 1 == tensor.data.min() < tensor.data.max() == 8 and len(set(tensor.data.tolist())) > 2
    settings = json.loads((folder / "config.json").read_text())
    settings["rope_scaling"]["high_freq_factor"] = 5.0
    (folder / "config.json").write_text(json.dumps(settings))
    write_gguf(folder, tmp_path / "model.gguf")
    with pytest.raises(UnusableModel, match="in a way that no options of llama3 give"):
        check_gguf(tmp_path / "model.gguf", folder, job, sets, texts)


def test_a_family_without_a_layout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "tests.toys.toy_family")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(UnusableModel, match="toy_family has no module gguf"):
        layout_of(tmp_path)
