"""Settings of a model, JSON and YAML: read with safe loaders, and refused if they let a library run code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tapeout.guard.context import FORBIDDEN, read_json
from tapeout.guard.errors import UnusableModel, refuse

MAX_YAML = 1 << 22
TARGETS = frozenset(
    {
        "nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel",
        "nemo.collections.nlp.models.language_modeling.megatron_gpt_sft_model.MegatronGPTSFTModel",
        "nemo_aligner.models.nlp.gpt.gpt_sft_model.GPTSFTModel",
    }
)
"""Classes that ``target`` of a ``model_config.yaml`` may name; NeMo imports and calls it."""

COPIED = re.compile(
    r"torch\.(nn\.(functional|init)\.)?[a-z0-9_]+|megatron\.core(\.\w+)+"
    r"|nemo\.(collections\.llm|collections\.common|lightning)(\.\w+)+|transformers\.generation\.configuration_utils\.GenerationConfig"
)
"""Names that ``_target_`` of ``model.yaml`` may have."""


def check_settings(path: Path) -> dict[str, Any]:
    """Return the content of config.json, tokenizer_config.json or generation_config.json of a Hugging Face folder.

    Raises:
        UnusableModel: it is damaged, or names code in the files of the model (``auto_map``, ``trust_remote_code``).
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UnusableModel(f"{path.name} is not a JSON object.", "Build or fetch it again.")
    return _checked(content, path.name)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file of somebody else, such as ``model_config.yaml`` of a ``.nemo`` archive.

    Raises:
        UnusableModel: it is damaged, has a tag of Python, or lets Hydra (``_target_``) or NeMo (``target``) call
            something that a model does not need.
    """
    return _checked(_parsed(path), path.name)


def check_model_yaml(path: Path) -> None:
    """Check ``context/model.yaml``, a readable copy of the context that nothing reads.

    Raises:
        UnusableModel: it is damaged, or names something outside the packages that a context refers to.
    """
    for name, value in _settings(_parsed(path)):
        if name == "_target_" and not (isinstance(value, str) and COPIED.fullmatch(value)):
            raise refuse(path.name, f"names {value!r}, which no context of a checkpoint needs")


def _parsed(path: Path) -> Any:
    import yaml

    if path.is_symlink() or not path.is_file():
        raise UnusableModel(f"{path.name} is missing, or not a plain file.", "Build or fetch it again.")
    if path.stat().st_size > MAX_YAML:
        raise refuse(path.name, f"has more than {MAX_YAML:,} bytes")

    class Loader(yaml.SafeLoader):
        """Without merge keys, with which a few lines become billions of values."""

        def flatten_mapping(self, node: Any) -> None:
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    raise yaml.YAMLError("it has a merge key")

    try:
        return Loader(path.read_bytes()).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise UnusableModel(f"{path.name} cannot be read as plain YAML: {why}.", "Do not trust this file.") from error


def _checked(content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UnusableModel(f"{what} does not contain settings by name.", "Build or fetch it again.")
    for name, value in _settings(content):
        if name in FORBIDDEN and value not in (None, False):
            raise refuse(what, f"sets {name}, with which code in the files of the model would be run")
    if content.get("target") not in (None, *TARGETS):
        raise refuse(what, f"has the target {content['target']!r}, which is not a model")
    return content


def _settings(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all names and values in a nested value; what YAML refers to several times, once."""
    waiting, done = [value], set()
    while waiting:
        value = waiting.pop()
        if id(value) in done or not isinstance(value, dict | list):
            continue
        done.add(id(value))
        if isinstance(value, dict):
            yield from value.items()
        waiting.extend(value.values() if isinstance(value, dict) else value)
