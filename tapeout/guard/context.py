"""The context of a NeMo-2 checkpoint, from which NeMo makes Python objects.

``context/io.json`` is the JSON form of Fiddle configurations, and Fiddle calls whatever it names. The names are
therefore compared with the exact list of those that our own conversions and trainings write, and the few arguments
that name files or allow code must have the values that these have.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tapeout.guard.errors import UnusableModel, refuse

CONTEXT = "context"
MAX_JSON = 1 << 26
Reference = tuple[str, str]
"""Module and name."""
REFERENCES: frozenset[Reference] = frozenset(
    {
        *(("builtins", "dict"), ("builtins", "tuple"), ("torch", "float32"), ("torch", "bfloat16")),
        *(("torch", "float16"), ("torch.nn.functional", "silu"), ("torch.nn.init", "normal_"), ("builtins", "list")),
        *(("fiddle._src.partial", "Partial"), ("megatron.core.transformer.enums", "AttnBackend.auto")),
        *(("nemo.collections.llm.gpt.model.base", name) for name in ("default_layer_spec", "gpt_data_step")),
        ("nemo.collections.llm.gpt.model.base", "gpt_forward_step"),
        ("nemo.collections.llm.fn.activation", "squared_relu"),
        *(("fiddle._src.config", "Config"), ("fiddle._src.config", "BuildableTraverserMetadata")),
        ("megatron.core.optimizer.optimizer_config", "OptimizerConfig"),
        ("nemo.collections.common.tokenizers.huggingface.auto_tokenizer", "AutoTokenizer"),
        ("nemo.lightning.io.artifact.hf_auto", "from_pretrained"),
        ("nemo.lightning.io.pl", "TrainerContext"),
        ("nemo.lightning.pytorch.optim.megatron", "MegatronOptimizerModule"),
        ("nemo.lightning.pytorch.strategies.megatron_strategy", "MegatronStrategy"),
        ("nemo.lightning.pytorch.trainer", "Trainer"),
        ("transformers.generation.configuration_utils", "GenerationConfig"),
    }
)
"""Everything that the context of any of our checkpoints names, except the model."""
MODEL = re.compile(r"nemo\.collections\.llm\.gpt\.model\.[a-z0-9_]+:(?!Auto)[A-Z][A-Za-z0-9]*(Config[A-Z0-9]*|Model)")
"""NeMo's classes of a model and of its dimensions, ``module:name``; each family has its own."""
FILES = {"pretrained_model_name": {"nemo_tokenizer"}, "pretrained_model_name_or_path": {"./artifacts", "artifacts"}}
"""Arguments that name a folder inside the context, and their values."""
FORBIDDEN = {"trust_remote_code", "auto_map", "code_revision", "_target_"}
"""Arguments with which Hugging Face or Hydra run code."""
KINDS = {"leaf", "ref", "pyref"}


def check_context(checkpoint: Path) -> set[Reference]:
    """Check ``context/io.json`` of a NeMo-2 checkpoint folder; return the modules and names in it.

    Raises:
        UnusableModel: it is missing or damaged, or names something that our own contexts do not.
    """
    path = checkpoint / CONTEXT / "io.json"
    what = f"{checkpoint.name}/{CONTEXT}/io.json"
    content = read_json(path, what)
    if not isinstance(content, dict) or set(content) != {"objects", "refcounts", "root", "version"}:
        raise UnusableModel(f"{what} is not the context of a checkpoint.", "Build or fetch it again.")
    references: set[Reference] = set()
    for node in _nodes(content):
        if "type" in node and not isinstance(node["type"], dict) and node["type"] not in sorted(KINDS):
            raise refuse(what, f"has a value of the unknown kind {node['type']!r}")
        if "module" in node or "name" in node:
            if set(node) - {"paths"} != {"module", "name", "type"} or node["type"] != "pyref":
                raise refuse(what, "names a Python object in an unexpected way")
            reference = (node["module"], node["name"])
            if not all(isinstance(text, str) for text in reference):
                raise refuse(what, "names a Python object in an unexpected way")
            if reference not in REFERENCES and not MODEL.fullmatch(":".join(reference)):
                raise refuse(what, f"names {'.'.join(reference)}, which no context of a checkpoint needs")
            references.add(reference)
        for accessor, value in _arguments(node, what):
            if accessor in FORBIDDEN and value not in (None, False):
                raise refuse(what, f"sets {accessor}, with which code in the files of the model would be run")
            if accessor in FILES and value not in sorted(FILES[accessor]):
                raise refuse(what, f"sets {accessor} to {value!r}, which is not a folder of its own")
    return references


def read_json(path: Path, what: str = "") -> Any:
    """Return the content of a JSON file.

    Raises:
        UnusableModel: it is missing, too large, damaged, or repeats a key.
    """
    what = what or path.name
    if path.is_symlink() or not path.is_file():
        raise UnusableModel(f"{what} is missing, or not a plain file.", "Build or fetch it again.")
    if path.stat().st_size > MAX_JSON:
        raise refuse(what, f"has more than {MAX_JSON:,} bytes")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("it repeats a key")
        return result

    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=unique)
        json.dumps(content, ensure_ascii=False).encode()  # raises an error if a text has half of a character
        return content
    except (ValueError, RecursionError) as error:
        raise UnusableModel(f"{what} is not JSON: {error}.", "Build or fetch it again.") from error


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all mappings in a JSON value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _arguments(node: dict[str, Any], what: str) -> Iterator[tuple[str, Any]]:
    """Yield name and plain value of the arguments in ``items``; a value that is an object or reference as its node."""
    items = node.get("items", [])
    if not isinstance(items, list):
        raise refuse(what, "has arguments that are no list")
    for item in items:
        if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)):
            raise refuse(what, "has an argument without a name")
        name, value = item[0].split("'")[1] if "'" in item[0] else item[0], item[1]
        leaf = isinstance(value, dict) and value.get("type") == "leaf"
        yield name, value.get("value") if leaf else value
