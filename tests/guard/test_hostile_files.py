"""Every file that no honest program writes is refused, and nothing of it is executed or written."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeout.data.io.archives import read_archive
from tapeout.guard.context import check_context, read_json
from tapeout.guard.errors import UnusableModel
from tapeout.guard.folders import check_checkpoint, check_huggingface
from tapeout.guard.safetensors import read_header
from tapeout.guard.saved import Tensor, check_saved
from tapeout.guard.settings import check_model_yaml, check_settings, read_yaml
from tapeout.guard.weights import check_weights, read_index
from tests.guard import hostile

# -- pickles -----------------------------------------------------------------------------------------------------------


def write_context(folder: Path) -> None:
    """Write the smallest context that is accepted."""
    (folder / "context").mkdir(parents=True)
    (folder / "context/io.json").write_text(json.dumps(CONTEXT))


def metadata(folder: Path, content: bytes) -> None:
    (folder / "weights").mkdir(parents=True)
    (folder / "weights/.metadata").write_bytes(content)


PROTOCOLS = (0, 2, 4, 5)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_run_nothing_wherever_they_are(scratch: Path, protocol: int) -> None:
    canary = scratch / "canary"
    data = hostile.payload(canary, protocol)
    folder = scratch / "model"
    metadata(folder, data)
    (folder / "weights/__0_0.distcp").write_bytes(hostile.saved(data))
    write_context(folder)
    (folder / "weights/common.pt").write_bytes(hostile.saved(data))
    reads: list[Callable[[], Any]] = [
        lambda: read_index(folder / "weights"),
        lambda: check_weights(folder / "weights"),
        lambda: check_saved(folder / "weights/common.pt", "common.pt"),
        lambda: check_saved(folder / "weights/__0_0.distcp", "part"),
        lambda: check_checkpoint(folder),
    ]
    for read in reads:
        with pytest.raises(UnusableModel, match=r"posix\.system, which a model does not need"):
            read()
    assert not canary.exists()
    pickle.loads(data)
    assert canary.exists(), "the payload is none"


REDUCED = {
    "builtins.eval": b"\x80\2cbuiltins\neval\n.",
    "builtins.getattr": b"\x80\2cbuiltins\ngetattr\n.",
    "of an old name": b"\x80\2c__builtin__\neval\n.",
    "a dotted name": b"\x80\4\x8c\5torch\x8c\x0cos.path.join\x93.",
    "a module of torch": b"\x80\2ctorch.hub\nload\n.",
    "a function of torch": b"\x80\2ctorch\nload\n.",
    "an extension": b"\x80\2\x82\1.",
    "an instance": b"(ios\nsystem\n.",
    "two pickles": b"\x80\2N.\x80\2N.",
    "no end": b"\x80\2}",
    "depth": b"\x80\2" + b"]" * 5000 + b"a" * 4999 + b".",
    "an unknown opcode": b"\x80\2\xff.",
    "a memo of the future": b"\x80\2h\5.",
    "a length of exabytes": b"\x80\4\x8d" + b"\xff" * 7 + b"\x7f" + b"x.",
    "a buffer": b"\x80\5\x97.",
    "a reference elsewhere": b"\x80\2Phttp://example.org\n.",
    "memory": b"\x80\2cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
}


@pytest.mark.parametrize("name", sorted(REDUCED))
def test_a_hostile_pickle_is_refused_in_an_index_and_in_a_file(scratch: Path, name: str) -> None:
    metadata(scratch / "model", REDUCED[name])
    with pytest.raises(UnusableModel):
        read_index(scratch / "model/weights")
    with pytest.raises(UnusableModel):
        check_saved(io.BytesIO(hostile.saved(REDUCED[name])), "file")


def test_values_that_refer_to_each_other_are_read_once() -> None:
    """Forty pairs of pairs would be 2 ** 40 values."""
    pairs = b"\x80\2N" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(40)) + b"."
    assert check_saved(io.BytesIO(hostile.saved(pairs)), "file") is not None


def test_archives_of_sources_skip_sparse_files(scratch: Path) -> None:
    (scratch / "source.tar").write_bytes(hostile.GOOD + hostile.sparse() + hostile.END)
    assert [name for name, _ in read_archive(scratch / "source.tar", lambda name, size: True)] == ["good"]


FOUR = {"n0": bytes(16)}


def test_a_file_with_a_tensor_is_described() -> None:
    assert check_saved(io.BytesIO(hostile.saved(hostile.tensor(4), **FOUR)), "file") == Tensor("float32", (4,))


SAVED = {
    "tensor larger than its content": hostile.saved(hostile.tensor(1 << 30), **FOUR),
    "content that is missing": hostile.saved(hostile.tensor(4)),
    "content that is too short": hostile.saved(hostile.tensor(4), n0=bytes(15)),
    "content of another name": hostile.saved(hostile.tensor(4, key="../0"), **FOUR),
    "number of elements that is not its own": hostile.saved(hostile.tensor(4, count=8), **FOUR),
    "type that is none": hostile.saved(hostile.tensor(4, storage="QInt8Storage"), **FOUR),
    "function that builds something else": hostile.saved(
        hostile.tensor(4, function="torch._utils\n_rebuild_meta_tensor_no_storage"), **FOUR
    ),
    "negative size": hostile.saved(hostile.tensor(-4), **FOUR),
    "TorchScript": hostile.zipped((hostile.TORCH_FILE, b"\x80\2N."), ("archive/constants.pkl", b"\x80\2N.")),
    "two pickles": hostile.zipped((hostile.TORCH_FILE, b"\x80\2N."), ("other/data.pkl", b"\x80\2N.")),
    "no pickle": hostile.zipped(("archive/version", b"3")),
    "compressed": hostile.zipped((hostile.TORCH_FILE, b"\x80\2N."), method=zipfile.ZIP_DEFLATED),
    "other byte order": hostile.zipped((hostile.TORCH_FILE, b"\x80\2N."), ("archive/byteorder", b"big")),
    "of PyTorch before 1.6": pickle.dumps(0x1950A86A20F9469CFC6C),
    **{f"zip: {name}": data for name, data in hostile.ZIPS.items() if name != "bomb that announces less"},
}
"""Files in the place of a file of ``torch.save``."""


@pytest.mark.parametrize("name", sorted(SAVED))
def test_a_hostile_file_of_torch_is_refused(name: str) -> None:
    with pytest.raises(UnusableModel):
        check_saved(io.BytesIO(SAVED[name]), "file")


# -- contexts and settings ---------------------------------------------------------------------------------------------

PYREF = {"type": "pyref", "module": "fiddle._src.config", "name": "Config"}
CONTEXT: dict[str, Any] = {
    "objects": {"a_1": {"type": PYREF, "items": [], "metadata": {"type": "ref", "key": "m_1"}}},
    "refcounts": {"a_1": 1},
    "root": {"type": "ref", "key": "a_1"},
    "version": "0.0.1",
}


def with_items(*items: Any) -> dict[str, Any]:
    return {**CONTEXT, "objects": {"a_1": {"type": PYREF, "items": list(items), "metadata": None}}}


def with_reference(module: str, name: str, **more: Any) -> dict[str, Any]:
    return with_items(["Attr(name='fn_or_cls')", {"type": "pyref", "module": module, "name": name, **more}])


def argument(name: str, value: Any) -> dict[str, Any]:
    return with_items([f"Attr(name='{name}')", {"type": "leaf", "value": value}])


CONTEXTS: dict[str, Any] = {
    "subprocess.getoutput": with_reference("subprocess", "getoutput"),
    "os.system": with_reference("os", "system"),
    "builtins.eval": with_reference("builtins", "eval"),
    "builtins.dict.fromkeys": with_reference("builtins", "dict.fromkeys"),
    "an importer": with_reference("nemo.collections.llm.gpt.model.llama", "HFLlamaImporter"),
    "an attribute of a model": with_reference("nemo.collections.llm.gpt.model.base", "GPTModel.load_from_checkpoint"),
    "a module beside the models": with_reference("nemo.collections.llm.gpt.model.llama.os", "XConfig"),
    "a class of transformers": with_reference("nemo.collections.llm.gpt.model.base", "AutoModel"),
    "another function of NeMo": with_reference("nemo.lightning.io.artifact.hf_auto", "HFAutoArtifact"),
    "a module with a path": with_reference("../payload", "run"),
    "a reference with more fields": with_reference("builtins", "dict", value="x"),
    "a name that is a list": with_items(["x", {"type": "pyref", "module": ["os"], "name": "system"}]),
    "a reference of another kind": with_items(["x", {"type": "leaf", "module": "os", "name": "system"}]),
    "an object of an unknown kind": with_items(["x", {"type": "pickle", "value": "gASV"}]),
    "code of the model": argument("trust_remote_code", True),
    "a tokenizer elsewhere": argument("pretrained_model_name", "/tmp/tokenizer"),
    "a tokenizer of the Hub": argument("pretrained_model_name", "somebody/model"),
    "artifacts elsewhere": argument("pretrained_model_name_or_path", "../../artifacts"),
    "items that are no list": {**CONTEXT, "objects": {"a_1": {"type": PYREF, "items": {"a": 1}}}},
    "another file": {"objects": {}},
    "a list": [],
    "an argument that is a list": with_items(["Attr(name='pretrained_model_name')", ["nemo_tokenizer"]]),
    "code that is a reference": with_items(["Attr(name='trust_remote_code')", {"type": "ref", "key": "m_1"}]),
    "a kind that is a list": with_items(["x", {"type": ["leaf"], "value": 1}]),
}


def test_the_smallest_context_is_accepted(scratch: Path) -> None:
    write_context(scratch / "model")
    assert check_context(scratch / "model") == {("fiddle._src.config", "Config")}


@pytest.mark.parametrize("name", sorted(CONTEXTS))
def test_a_hostile_context_is_refused(scratch: Path, name: str) -> None:
    (scratch / "context").mkdir()
    (scratch / "context/io.json").write_text(json.dumps(CONTEXTS[name]))
    with pytest.raises(UnusableModel):
        check_context(scratch)


JSON = {
    "repeated key": '{"model_type": "llama", "model_type": "other"}',
    "depth": "[" * 100_000,
    "no UTF-8": b"\xff\xfe{}",
    "cut off": '{"a": ',
    "nothing": "",
}


@pytest.mark.parametrize("name", sorted(JSON))
def test_hostile_json_is_refused(scratch: Path, name: str) -> None:
    content = JSON[name]
    (scratch / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnusableModel):
        read_json(scratch / "config.json")


@pytest.mark.parametrize(
    "settings",
    [
        {"auto_map": {"AutoModelForCausalLM": "payload.Model"}},
        {"trust_remote_code": True},
        {"inner": [{"auto_map": {"AutoConfig": "payload.Config"}}]},
        {"target": "os.system"},
        {"model": {"_target_": "os.system"}},
        [],
    ],
    ids=str,
)
def test_settings_that_run_code_are_refused(scratch: Path, settings: Any) -> None:
    (scratch / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UnusableModel):
        check_settings(scratch / "config.json")
    if isinstance(settings, dict):
        (scratch / "config.json").write_text(
            json.dumps({"hidden_size": 4, "auto_map": None, "trust_remote_code": False})
        )
        assert check_settings(scratch / "config.json")["hidden_size"] == 4


YAML = {
    "Hydra": "model:\n  optim:\n    _target_: os.system\n    command: touch {canary}\n",
    "target": "target: os.system\n",
    "object of Python": "a: !!python/object/apply:os.system ['touch {canary}']\n",
    "name of Python": "a: !!python/name:os.system\n",
    "own tag": "a: !run 'touch {canary}'\n",
    "a list": "- 1\n",
    "damaged": "a: [1\n",
    "depth": "[" * 20_000,
    "merge keys": "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\n",
}


@pytest.mark.parametrize("name", sorted(YAML))
def test_hostile_yaml_is_refused(scratch: Path, name: str) -> None:
    path = scratch / "model_config.yaml"
    path.write_text(YAML[name].replace("{canary}", str(scratch / "canary")))
    with pytest.raises(UnusableModel):
        read_yaml(path)
    if name not in ("target", "a list"):
        with pytest.raises(UnusableModel):
            check_model_yaml(path)
    assert not (scratch / "canary").exists()


def test_yaml_that_refers_to_itself_is_read_once(scratch: Path) -> None:
    path = scratch / "model_config.yaml"
    laughs = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    path.write_text(f"a0: &a0 [x]\n{laughs}")
    assert len(read_yaml(path)) == 40


# -- safetensors and folders -------------------------------------------------------------------------------------------


def safetensors(content: Any, data: bytes = bytes(16), length: int | None = None) -> bytes:
    header = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


FLOATS = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
HEADERS = {
    "length of exabytes": safetensors({}, length=1 << 60),
    "nothing": b"",
    "no JSON": safetensors(b"{"),
    "repeated name": safetensors(b'{"a":%s,"a":%s}' % ((json.dumps(FLOATS).encode(),) * 2)),
    "overlap": safetensors({"a": FLOATS, "b": FLOATS}),
    "gap": safetensors({"a": {**FLOATS, "data_offsets": [4, 20]}}, bytes(20)),
    "content after the end": safetensors({"a": FLOATS}, bytes(17)),
    "truncated": safetensors({"a": FLOATS}, bytes(15)),
    "unknown type": safetensors({"a": {**FLOATS, "dtype": "OBJECT"}}),
    "shape of another size": safetensors({"a": {**FLOATS, "shape": [5]}}),
    "negative size": safetensors({"a": {**FLOATS, "shape": [-1, -4]}}),
    "number that is none": safetensors({"a": {**FLOATS, "shape": [4.0]}}),
    "pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("name", sorted(HEADERS))
def test_a_hostile_safetensors_file_is_refused(scratch: Path, name: str) -> None:
    (scratch / "model.safetensors").write_bytes(HEADERS[name])
    with pytest.raises(UnusableModel):
        read_header(scratch / "model.safetensors")


def huggingface(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(safetensors({"a": FLOATS, "__metadata__": {"format": "pt"}}))
    return folder


@pytest.mark.parametrize(
    "name", ["modeling_payload.py", "pytorch_model.bin", "weights.pkl", "sub/config.json", "model.so", "a b.json"]
)
def test_a_folder_with_another_file_is_refused(scratch: Path, name: str) -> None:
    folder = huggingface(scratch / "model")
    assert check_huggingface(folder) == {"a": Tensor("float32", (4,))}
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(UnusableModel, match="not a file of such a model"):
        check_huggingface(folder)


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_a_folder_with_a_link_or_a_pipe_is_refused(scratch: Path, kind: str) -> None:
    folder = huggingface(scratch / "model")
    if kind == "pipe":
        os.mkfifo(folder / "LICENSE")
    else:
        (folder / "LICENSE").symlink_to("/etc/passwd" if kind == "link" else "/etc")
    with pytest.raises(UnusableModel, match="not a plain file"):
        check_huggingface(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["payload.Tokenizer", null]}}'),
        ("generation_config.json", '{"trust_remote_code": true}'),
        ("model.safetensors.index.json", '{"weight_map": {"a": "../../other.safetensors"}}'),
        ("model.safetensors.index.json", '{"weight_map": {"b": "model.safetensors"}}'),
        ("model.safetensors.index.json", '{"weight_map": {"a": ["model.safetensors"]}}'),
        ("second.safetensors", safetensors({"a": FLOATS})),
        ("config.json", '{"auto_map": {"AutoModel": "payload.Model"}}'),
    ],
    ids=str,
)
def test_a_folder_with_a_hostile_file_is_refused(scratch: Path, name: str, content: str | bytes) -> None:
    folder = huggingface(scratch / "model")
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnusableModel):
        check_huggingface(folder)
