"""Description of a model that somebody else made: what is in it, and why it is or is not accepted; nothing is executed.

Every file is read by the reader that the guard has for it, and a refusal becomes a finding instead of an error.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapeout.errors import did_you_mean
from tapeout.guard import gguf, tar, zip
from tapeout.guard.context import CONTEXT, check_context, read_json
from tapeout.guard.errors import UnusableModel
from tapeout.guard.folders import HUGGINGFACE_MEMBERS, NEMO_MEMBERS, check_checkpoint, check_huggingface, files_of
from tapeout.guard.safetensors import read_header
from tapeout.guard.saved import TYPES, Tensor, check_saved
from tapeout.guard.settings import check_model_yaml, check_settings, read_yaml
from tapeout.guard.weights import INDEX, check_weights

ARCHITECTURE = (
    *("model_type", "architectures", "torch_dtype", "vocab_size", "tie_word_embeddings", "target", "precision"),
    *(
        "hidden_size",
        "num_layers",
        "num_hidden_layers",
        "num_attention_heads",
        "num_query_groups",
        "num_key_value_heads",
    ),
    *("ffn_hidden_size", "intermediate_size", "seq_length", "max_position_embeddings", "encoder_seq_length"),
    *(
        "normalization",
        "activation",
        "rotary_base",
        "rope_theta",
        "rope_scaling",
        "share_embeddings_and_output_weights",
    ),
)
"""Settings that are shown, as the formats name them."""
SAVED = (".pt", ".pth", ".ckpt", ".bin")
TOKENIZERS = {"tokenizer.model": "SentencePiece", "tokenizer.json": "byte-level BPE or another of Hugging Face"}


@dataclass
class Findings:
    """Findings about a model.

    Attributes:
        kind: what it is taken for.
        members: size of each file in bytes, by path.
        architecture: settings that describe the model.
        tensors: type and shape of each tensor.
        tokenizer: kind of tokenizer by the path of its file.
        references: Python objects that the context names.
        problems: reasons for which it is refused, by path; an empty path is the whole model.
    """

    kind: str
    members: dict[str, int] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    tokenizer: dict[str, str] = field(default_factory=dict)
    references: set[tuple[str, str]] = field(default_factory=set)
    problems: dict[str, str] = field(default_factory=dict)

    def totals(self) -> dict[str, dict[str, int]]:
        """Return the numbers of tensors, elements and bytes by type."""
        counts: Counter[str] = Counter(tensor.dtype for tensor in self.tensors.values())
        elements: Counter[str] = Counter()
        for tensor in self.tensors.values():
            elements[tensor.dtype] += math.prod(tensor.shape)
        return {
            dtype: {"tensors": counts[dtype], "elements": elements[dtype], "bytes": _bytes(dtype, elements[dtype])}
            for dtype in sorted(counts)
        }


def inspect_model(path: Path, scratch: Path) -> Findings:
    """Describe a model folder, a ``.nemo`` archive, a GGUF file, or a file of weights.

    Args:
        path: the model.
        scratch: folder to unpack an archive into, which the caller deletes.

    Raises:
        UnusableModel: there is no such file or folder.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        near = did_you_mean(path.name, (entry.name for entry in path.parent.glob("*")))
        raise UnusableModel(
            f"There is no model {path}{near}", "Give a model folder, or a .nemo, .gguf, safetensors or .pt file."
        )
    with open(path, "rb") as file:
        first = file.read(512)
    findings = Findings("file of torch.save", {path.name: path.stat().st_size})
    if path.suffix == ".safetensors":
        findings.kind = "safetensors file"
        _try(findings, path.name, lambda: findings.tensors.update(read_header(path)[0]))
    elif path.suffix == ".gguf" or first.startswith(gguf.MAGIC):
        findings.kind = "GGUF file"
        _try(findings, path.name, lambda: _gguf(findings, path))
    elif first.startswith(zip.MAGIC) or path.suffix in SAVED:
        _try(findings, path.name, lambda: findings.tensors.update(_tensors(check_saved(path, path.name))))
    elif first[257:262] == b"ustar" or first.startswith(tuple(tar.COMPRESSED)) or path.suffix in (".nemo", ".tar"):
        return _archive(path, scratch)
    else:
        findings.kind = "file of an unknown kind"
        findings.problems[path.name] = "It is neither an archive nor a file of weights that Tapeout reads."
    return findings


def _archive(path: Path, scratch: Path) -> Findings:
    findings = Findings("archive")
    try:
        findings.members = {member.name: member.size for member in tar.tar_members(path) if not member.folder}
        tar.unpack(path, scratch / "model")
    except UnusableModel as error:
        findings.problems[path.name] = error.cause
        return findings
    inner = _folder(scratch / "model")
    inner.kind = f"archive with a {inner.kind}"
    return inner


def _folder(folder: Path) -> Findings:
    findings = Findings("folder of an unknown kind")
    try:
        names = files_of(folder)
    except UnusableModel as error:
        findings.problems[""] = error.cause
        return findings
    findings.members = {name: (folder / name).stat().st_size for name in names}
    whole: Callable[[Path], Any] | None = None
    strange: list[str] = []
    if f"{CONTEXT}/io.json" in names:
        findings.kind, whole = "NeMo-2 checkpoint", check_checkpoint
        strange = [name for name in names if not NEMO_MEMBERS.fullmatch(name)]
        _try(findings, f"{CONTEXT}/io.json", lambda: findings.references.update(check_context(folder)))
        _try(findings, f"{CONTEXT}/io.json", lambda: findings.architecture.update(_dimensions(folder)))
    elif "config.json" in names:
        findings.kind, whole = "Hugging Face folder", check_huggingface
        strange = [name for name in names if not HUGGINGFACE_MEMBERS.fullmatch(name)]
    elif "model_config.yaml" in names:
        findings.kind = "NeMo-1 model"
    else:
        findings.problems[""] = "It has no config.json, no context/io.json and no model_config.yaml."
        return findings
    findings.problems |= dict.fromkeys(strange, "It is not a file of such a model, and may be code.")
    for name in names:
        _file(findings, folder, name)
    if whole and not findings.problems:
        try:
            whole(folder)
        except UnusableModel as error:
            findings.problems[""] = error.cause
    return findings


def _file(findings: Findings, folder: Path, name: str) -> None:
    """Add what one file of a folder contains."""
    path = folder / name
    if path.name in TOKENIZERS or path.name.endswith("_tokenizer.model"):
        findings.tokenizer[name] = TOKENIZERS.get(path.name, "SentencePiece")
    if path.name == INDEX:
        _try(findings, name, lambda: findings.tensors.update(_described(path.parent)))
    elif path.suffix == ".safetensors":
        _try(findings, name, lambda: findings.tensors.update(read_header(path)[0]))
    elif path.suffix in SAVED:
        _try(findings, name, lambda: findings.tensors.update(_tensors(check_saved(path, name))))
    elif name == "model_config.yaml":
        _try(findings, name, lambda: findings.architecture.update(_shown(read_yaml(path))))
    elif name == f"{CONTEXT}/model.yaml":
        _try(findings, name, lambda: check_model_yaml(path))
    elif name == "config.json":
        _try(findings, name, lambda: findings.architecture.update(_shown(check_settings(path))))
    elif path.suffix == ".json" and name != f"{CONTEXT}/io.json":
        _try(findings, name, lambda: check_settings(path))


def _try(findings: Findings, name: str, read: Callable[[], Any]) -> None:
    try:
        read()
    except UnusableModel as error:
        findings.problems.setdefault(name, error.cause)


def _gguf(findings: Findings, path: Path) -> None:
    """Add what the header of a GGUF file states; its arrays are counted."""
    header = gguf.read_header(path)
    findings.kind, findings.tensors = f"GGUF file of version {header.version}", header.tensors
    fields, vocabulary = header.fields, "tokenizer.ggml"
    for name, value in fields.items():
        if name.startswith(("general.", f"{fields.get('general.architecture')}.")) or name.endswith("chat_template"):
            findings.architecture[name.partition(".")[2]] = value
    if kind := fields.get(f"{vocabulary}.model"):
        words, pieces = fields.get(f"{vocabulary}.pre", "gpt-2"), fields.get(f"{vocabulary}.tokens", 0)
        findings.tokenizer[vocabulary] = f"{kind}, words as of {words}, {pieces} pieces"


def _bytes(dtype: str, elements: int) -> int:
    """Return the bytes of numbers of a type, which may be packed in blocks."""
    numbers, size = (1, TYPES[dtype]) if dtype in TYPES else gguf.BYTES[dtype]
    return elements // numbers * size


def _described(folder: Path) -> dict[str, Tensor]:
    return {name: entry.tensor for name, entry in check_weights(folder).items() if entry.tensor is not None}


def _tensors(value: Any, name: str = "") -> Iterable[tuple[str, Tensor]]:
    """Yield the tensors in a nested value, by dotted name; each container once."""
    waiting, done = [(name, value)], set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, dict | list | tuple) and id(value) not in done:
            done.add(id(value))
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend((f"{name}.{key}".strip("."), item) for key, item in inner)


def _dimensions(folder: Path) -> dict[str, Any]:
    """Return what the context of a NeMo-2 checkpoint says about the model, and the class of its configuration."""
    found: dict[str, Any] = {}
    try:
        for value in read_json(folder / CONTEXT / "io.json")["objects"].values():
            for accessor, inner in value.get("items", ()):
                name = accessor.split("'")[1] if "'" in accessor else ""
                if name in ARCHITECTURE and inner.get("type") == "leaf":
                    found.setdefault(name, inner.get("value"))
                elif name == "fn_or_cls" and ".gpt.model." in inner["module"] and "Config" in inner["name"]:
                    found["model"] = inner["name"]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise UnusableModel("It is not the context of a checkpoint.", "Build or fetch it again.") from None
    return {name: found[name] for name in ("model", *ARCHITECTURE) if name in found}


def _shown(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in ARCHITECTURE if settings.get(name) is not None}
