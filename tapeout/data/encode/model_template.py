"""The chat template of a base model, from the files that transformers reads it from."""

import json
from pathlib import Path
from typing import Any

from tapeout.config.instructions import EncodeJob
from tapeout.data.errors import InvalidTemplate

FILE, SETTINGS = "chat_template.jinja", "tokenizer_config.json"
"""Files with a template; the first decides if there are both."""
MODEL_FILE, FAST_FILE = "tokenizer.model", "tokenizer.json"
"""SentencePiece model, and the same tokenizer as transformers reads it."""
DEFAULT = "default"
"""Name of the template of conversations, where there are several."""
CLOCK = "strftime_now"
"""Function with which a template writes the date."""


def with_model_template(job: EncodeJob, folder: Path | None) -> EncodeJob:
    """Return the parameters with the text of the chat template, if that of the base model is used.

    Args:
        job: the parameters.
        folder: Hugging Face folder of the base model; not needed if the template is not its own.

    Raises:
        InvalidTemplate: see ``read_template`` and ``check_blanks``.
    """
    if not job.prompt.for_questions or folder is None:
        return job
    check_blanks(folder)
    return job.model_copy(update={"chat_template": read_template(folder)})


def read_template(folder: Path) -> str:
    """Return the chat template of a model.

    Raises:
        InvalidTemplate: the model has none, or one that cannot be read; or it writes the present date, so that each day
            would have other prompts.
    """
    settings = _settings(folder / SETTINGS).get("chat_template")
    if isinstance(settings, list):  # several by name: conversations, with tools, with documents
        named = {one.get("name"): one.get("template") for one in settings if isinstance(one, dict)}
        settings = named.get(DEFAULT)
    file = folder / FILE
    try:
        template = file.read_bytes().decode() if file.is_file() else settings
    except UnicodeDecodeError as error:
        raise InvalidTemplate(f"{FILE} of the base model is not UTF-8 text ({error}).", "Fetch it again.") from error
    if not isinstance(template, str) or not template:
        raise InvalidTemplate(
            f"The base model has no chat template, neither in {FILE} nor in {SETTINGS}.",
            "Name a file with a template in instructions.prompt.chat_template, or choose other tokens.",
        )
    if CLOCK in template:
        raise InvalidTemplate(
            f"The base model's chat template writes the present date ({CLOCK}), so prompts would change every day.",
            "Name a file with a copy of it that has a fixed date in instructions.prompt.chat_template.",
        )
    return template


def check_blanks(folder: Path) -> None:
    """Check that a SentencePiece tokenizer has the ids of the encoder after a control token.

    The encoder puts SentencePiece's blank before each text between control tokens, as transformers did first
    (``legacy``); later tokenizers put it before the first text only.

    Raises:
        InvalidTemplate: the model has such a tokenizer.
    """
    if not (folder / MODEL_FILE).is_file():
        return
    settings, document = _settings(folder / SETTINGS), _settings(folder / FAST_FILE)
    if document and "add_prefix_space" not in settings:  # with this key transformers converts the model anew
        steps = [document.get("normalizer"), document.get("pre_tokenizer")]
        steps += [inner for step in steps if isinstance(step, dict) for inner in step.get("normalizers") or ()]
        kinds = {step.get("type"): step.get("prepend_scheme", "always") for step in steps if isinstance(step, dict)}
        before_each = "Prepend" in kinds or kinds.get("Metaspace") == "always"
    else:
        before_each = settings.get("legacy") is not False
    if not before_each:
        raise InvalidTemplate(
            "The base model's tokenizer puts no blank before a text that follows a control token, unlike Tapeout, so "
            "its chat template would have other token ids than in transformers.",
            "Name a file with the template in instructions.prompt.chat_template if you accept other ids.",
        )


def _settings(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes()) if path.is_file() else {}
    except ValueError as error:
        raise InvalidTemplate(
            f"{path.name} of the base model is not valid JSON ({error}).", "Fetch it again."
        ) from error
    return content if isinstance(content, dict) else {}
