"""Import models of NeMo that somebody else made into Hugging Face folders.

Three forms are read: a NeMo-2 checkpoint (a folder, or a tar file of it), a NeMo-1 archive of a Megatron-core model,
and a NeMo-1 archive of before Megatron-core, such as GPT-2B-001. All bytes pass through ``tapeout.guard``; NeMo itself
reads none of them. One tensor of Megatron is in memory at a time.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from tapeout.config.base import Architecture
from tapeout.encoder.load import load_encoder
from tapeout.guard.errors import UnusableModel
from tapeout.guard.folders import check_checkpoint, check_tokenizer, files_of
from tapeout.guard.settings import read_yaml
from tapeout.guard.tar import unpack
from tapeout.guard.weights import check_weights
from tapeout.models.carried import check_vocabulary
from tapeout.models.family import Family, load_family
from tapeout.models.layout import Part
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.models.weights_writer import write_weights
from tapeout.nemo.foreign_weights import DistributedWeights, ForeignWeights, OldWeights
from tapeout.nemo.nemo1 import CONFIG, IN_NEMO_1, IN_NEMO_2, SCALING, SIZES, WEIGHTS, settings_of
from tapeout.nemo.nemo2_settings import check_options, model_arguments

OLD_WEIGHTS = "model_weights.ckpt"
DEFAULTS: dict[str, Any] = {
    **{"num_query_groups": None, "kv_channels": None, "rotary_percentage": 1.0, "rotary_base": 10000.0},
    **{"layernorm_epsilon": 1e-5, "init_method_std": 0.02, "share_embeddings_and_output_weights": True},
    **{"position_embedding_type": "learned_absolute", "bias": True, "qkv_bias": False},
    **{"activation": "gelu", "normalization": "layernorm", "layernorm_zero_centered_gamma": False},
}
"""What NeMo-1 takes for an option that a configuration leaves out."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "apply_embedding_scaling": (False,),
    "attention_type": ("multihead",),
    "drop_layers": ((), False),
    "headscale": (False,),
    "hyena": (),
    "mcore_customization_config": ({},),
    "megatron_legacy": (False,),
    "multi_latent_attention": (False,),
    "multi_query_attention": (False,),
    "normalize_attention_scores": (True,),
    "num_moe_experts": (0, 1),
    "openai_gelu": (False,),
    "qk_layernorm": (False,),
    "rotary_interleaved": (False,),
    "seq_len_interpolation_factor": (1, 1.0),
    "transformer_block_type": ("pre_ln",),
    "window_size": (),
}
"""Values of options with which a model is one of a family; ``None`` always is."""


@dataclass(frozen=True)
class Found:
    """A model of NeMo, read as far as its weights.

    Attributes:
        form: ``nemo2``, ``nemo1`` or ``nemo1-old``.
        architecture: what its configuration states.
        tokenizer: file of its vocabulary.
        weights: its weights.
        norms_plus_one: whether the weights of the norms are stored reduced by 1, unlike those of the family.
        ids: special ids that it states.
    """

    form: str
    architecture: Architecture
    tokenizer: Path
    weights: ForeignWeights
    norms_plus_one: bool = False
    ids: Mapping[str, Any] = field(default_factory=dict)


def import_nemo(archive: Path, family: str, output: Path) -> dict[str, Any]:
    """Convert a model of NeMo to the new Hugging Face folder ``output``, which has its tokenizer.

    Call ``tapeout.nemo.process.prepare`` first.

    Args:
        archive: a ``.nemo`` file, a tar file of a NeMo-2 checkpoint, or one of the two unpacked.
        family: name of the model's family.
        output: new folder.

    Returns:
        a report of what was found.

    Raises:
        UnusableModel: it is unsafe, damaged, of another family, or has an option that would be lost.
    """
    return convert_archive(archive, load_family(family), output)


def convert_archive(archive: Path, kind: Family, output: Path) -> dict[str, Any]:
    """Do what ``import_nemo`` does, for a family that is already loaded."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = archive
        if not archive.is_dir():
            folder = Path(scratch) / "model"
            unpack(archive, folder)
        if (folder / "context" / "io.json").is_file():
            found = _read_nemo2(folder, kind)
        elif (folder / CONFIG).is_file():
            found = _read_nemo1(folder, kind)
        else:
            raise UnusableModel(
                f"{archive.name} has neither context/io.json nor {CONFIG}.",
                "Give a NeMo-2 checkpoint or a .nemo archive.",
            )
        return _write(found, kind, output)


def _read_nemo2(folder: Path, kind: Family) -> Found:
    check_checkpoint(folder)
    arguments = model_arguments(folder, kind)
    weights = DistributedWeights(folder / "weights", IN_NEMO_2)
    generation = folder / "context/artifacts/generation_config.json"
    ids = json.loads(generation.read_bytes()) if generation.is_file() else {}
    architecture = _architecture(kind, {**arguments, **_type(weights.dtype)})
    check_options(arguments, architecture, kind, weights.rows)
    return Found("nemo2", architecture, tokenizer_path(folder), weights, ids=ids)


def _read_nemo1(folder: Path, kind: Family) -> Found:
    settings = {**DEFAULTS, **read_yaml(folder / CONFIG)}
    _refuse_other_options(settings)
    weights: ForeignWeights
    if (folder / WEIGHTS).is_dir():
        check_weights(folder / WEIGHTS)
        form, weights = "nemo1", DistributedWeights(folder / WEIGHTS, IN_NEMO_1)
    elif (folder / OLD_WEIGHTS).is_file():
        form, weights = "nemo1-old", OldWeights(folder / OLD_WEIGHTS, settings["activation"])
    else:
        several = [name for name in files_of(folder) if name.endswith(OLD_WEIGHTS)]
        raise UnusableModel(
            f"The archive has {f'weights of {len(several)} ranks' if several else 'no weights'}.",
            "Merge it to one rank with NeMo's megatron_change_num_partitions.py." if several else "Fetch it again.",
        )
    architecture = _architecture(kind, {**_arguments(settings), **_type(weights.dtype)})
    expected = settings_of(kind.nemo_model(architecture, weights.rows, None, None).config)
    shifted = _compare(settings, expected)
    tokenizer = _tokenizer_of(folder, settings)
    ids = settings.get("special_ids")
    return Found(form, architecture, tokenizer, weights, shifted, ids if isinstance(ids, dict) else {})


def _refuse_other_options(settings: Mapping[str, Any]) -> None:
    for name, values in NEUTRAL.items():
        if settings.get(name) is not None and settings[name] not in values:
            raise UnusableModel(
                f"{CONFIG} has {name} {settings[name]!r}, which no model family has.", "Use another model."
            )
    missing = [
        name
        for name in ("num_layers", "hidden_size", "ffn_hidden_size", "num_attention_heads")
        if not settings.get(name)
    ]
    if missing or not settings.get("encoder_seq_length"):
        raise UnusableModel(
            f"{CONFIG} lacks {(*missing, 'encoder_seq_length')[0]}.", "Fetch the archive again, or add the option."
        )


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of NeMo-2's configuration of the same model."""
    arguments = {option: settings[name] for name, option in SIZES.items() if settings.get(name) is not None}
    arguments["seq_length"] = settings["encoder_seq_length"]
    arguments.setdefault("num_query_groups", settings["num_attention_heads"])
    if settings.get("scale_positional_embedding"):
        defaults = dict(zip(SCALING, (8, 1, 4, 8192), strict=True))
        arguments |= {name: settings.get(name, default) for name, default in defaults.items()}
    return arguments


def _type(dtype: torch.dtype) -> dict[str, bool]:
    return {"bf16": dtype == torch.bfloat16, "fp16": dtype == torch.float16}


def _architecture(kind: Family, arguments: Mapping[str, Any]) -> Architecture:
    try:
        return kind.architecture_from_nemo(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnusableModel(f"The configuration of the model: {first['msg']}.", "Use another model.") from error
    except KeyError as error:
        raise UnusableModel(f"The configuration of the model lacks {error}.", "Fetch the model again.") from error


def _compare(given: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Check that a configuration is one of the family; return whether the weights of its norms lack 1."""
    normalization = str(given["normalization"]).lower()
    if normalization == "layernorm" and given["layernorm_zero_centered_gamma"]:
        normalization = "layernorm1p"
    activation = {"swiglu": "fast-swiglu"}.get(given["activation"], given["activation"])
    shifted = (normalization, expected["normalization"]) == ("layernorm1p", "layernorm")
    actual = {
        **given,
        "activation": activation,
        "normalization": expected["normalization"] if shifted else normalization,
    }
    for name in ("activation", "normalization", "position_embedding_type", "bias", "qkv_bias"):
        if actual[name] != expected[name]:
            raise UnusableModel(
                f"{CONFIG} has {name} {given[name]!r}, and models of the chosen family have {expected[name]!r}.",
                "Name the family of this model (base.family).",
            )
    return shifted


def _tokenizer_of(folder: Path, settings: Mapping[str, Any]) -> Path:
    tokenizer = settings.get("tokenizer") or {}
    name = str(tokenizer.get("model") or "").removeprefix("nemo:")
    path = folder / Path(name).name
    if tokenizer.get("library") != "sentencepiece" or not name or not path.is_file():
        raise UnusableModel(
            f"The archive has no SentencePiece tokenizer: {CONFIG} names {tokenizer.get('library')!r} and "
            f"{tokenizer.get('model') or tokenizer.get('type')!r}.",
            "Use an archive that contains its tokenizer, or the Hugging Face folder of the model.",
        )
    return path


def _write(found: Found, kind: Family, output: Path) -> dict[str, Any]:
    """Write the Hugging Face folder, and return the report."""
    check_tokenizer(found.tokenizer.parent)
    encoder = load_encoder(found.tokenizer)
    ids = {"bos_token_id": encoder.bos, "eos_token_id": encoder.eos, "pad_token_id": None}
    ids |= {name: found.ids[name] for name in ids if found.ids.get(name) is not None}
    config = kind.huggingface_config(found.architecture, found.weights.rows, **ids)
    check_vocabulary(config, encoder)
    with torch.device("meta"):
        model = kind.model_class()(config)
    tied = model._tied_weights_keys or () if config.tie_word_embeddings else ()
    empty = {name: weight.to(found.weights.dtype) for name, weight in model.state_dict().items() if name not in tied}
    weights = _Weights(kind.parts(config), found)
    unfinished = output.with_name(output.name + ".unfinished")
    unfinished.mkdir(parents=True)
    try:
        write_weights(unfinished, empty, weights)
        config.architectures = [type(model).__name__]
        config._attn_implementation_autoset = False  # as save_pretrained does
        config.save_pretrained(unfinished)
        for name, content in encoder.model_files().items():
            (unfinished / name).write_bytes(content)
        settings = encoder.model_settings({**kind.tokenizer_config(), "sp_model_kwargs": {}})
        settings["model_max_length"] = config.max_position_embeddings
        (unfinished / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
        for path in unfinished.iterdir():
            path.chmod(0o644)
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return {
        "form": found.form,
        "architecture": found.architecture.model_dump(mode="json"),
        "dtype": str(found.weights.dtype).removeprefix("torch."),
        "norms_plus_one": found.norms_plus_one,
        "padding_rows": found.weights.rows - encoder.size,
        "rows": found.weights.rows,
        "tensors": len(weights),
        "tokenizer_sha256": hashlib.sha256(found.tokenizer.read_bytes()).hexdigest(),
        "vocabulary": encoder.size,
    }


class _Weights(Mapping[str, Tensor]):
    """Hugging Face state dict of a model of NeMo; a look-up reads the one Megatron tensor that it is a part of."""

    def __init__(self, parts: Sequence[Part], found: Found) -> None:
        self.parts = {name: part for part in parts for name in part.sources}
        self.found = found
        self.last: tuple[Part, dict[str, Tensor]] | None = None
        found.weights.check_names(parts)

    def __getitem__(self, name: str) -> Tensor:
        part = self.parts[name]
        if self.last is None or self.last[0] is not part:
            self.last = None  # free it before the next one is read
            tensor = self.found.weights.tensor(part)
            if self.found.norms_plus_one and part.megatron.endswith(("layernorm.weight", "layer_norm_weight")):
                tensor = tensor + 1
            self.last = part, dict(zip(part.sources, part.split(tensor), strict=True))
        return self.last[1][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)
