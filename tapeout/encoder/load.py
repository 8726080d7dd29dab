"""Choose the encoder implementation for a tokenizer's files."""

import json
from pathlib import Path

from tapeout import plugins
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.interface import Encoder

CHOICE_FILE = "encoder.json"
"""File beside a tokenizer's files that names the module which reads them, as ``{"encoder": "my_team.encoders.x"}``."""
TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json")
"""Files of a tokenizer; in a folder with both, the second is made from the first, for servers."""


def load_encoder(path: Path) -> Encoder:
    """Return the encoder of a tokenizer.

    The name of the file decides: ``.json`` is byte-level BPE (``tapeout.encoder.byte_level``), any other file is a
    SentencePiece model (``tapeout.encoder.sentencepiece``). A file ``encoder.json`` beside the tokenizer names another
    module, which has a function ``load(path: Path) -> Encoder``; a step that reads such a tokenizer declares the module
    among the plugins of its rule.

    Args:
        path: the tokenizer's file, or the folder of a model or tokenizer.

    Raises:
        InvalidVocabulary: the folder has no tokenizer, or the encoder refuses it.
        UnknownPlugin, InvalidPlugin: see ``plugins.load``.
    """
    choice = (path if path.is_dir() else path.parent) / CHOICE_FILE
    if choice.exists():
        encoder: Encoder = plugins.load("tapeout.encoder", json.loads(choice.read_bytes())["encoder"]).load(path)
        return encoder
    file = tokenizer_file(path) if path.is_dir() else path
    if file is None:
        raise InvalidVocabulary(
            f"There is no {' or '.join(TOKENIZER_FILES)} in {path}.", "Give the folder of a model or a tokenizer."
        )
    if file.suffix == ".json":
        from tapeout.encoder import byte_level

        return byte_level.load(file)
    from tapeout.encoder import sentencepiece

    return sentencepiece.load(file)


def tokenizer_file(folder: Path) -> Path | None:
    """Return the path of the tokenizer in a folder; None if there is none."""
    return next((folder / name for name in TOKENIZER_FILES if (folder / name).is_file()), None)
