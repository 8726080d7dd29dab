"""Choose the encoder implementation for a tokenizer's files."""

import json
from pathlib import Path

from tapeout import plugins
from tapeout.encoder import sentencepiece
from tapeout.encoder.interface import Encoder

CHOICE_FILE = "encoder.json"
"""File beside a tokenizer's files that names the module which reads them, as ``{"encoder": "my_team.encoders.x"}``."""


def load_encoder(path: Path) -> Encoder:
    """Return the encoder of a tokenizer.

    The default is ``tapeout.encoder.sentencepiece``. A file ``encoder.json`` beside the tokenizer names another module,
    which has a function ``load(path: Path) -> Encoder``; a step that reads such a tokenizer declares the module among
    the plugins of its rule.

    Args:
        path: the tokenizer's file, or the folder of a model or tokenizer.

    Raises:
        UnknownPlugin, InvalidPlugin: see ``plugins.load``.
    """
    choice = (path if path.is_dir() else path.parent) / CHOICE_FILE
    if not choice.exists():
        return sentencepiece.load(path)
    encoder: Encoder = plugins.load("tapeout.encoder", json.loads(choice.read_bytes())["encoder"]).load(path)
    return encoder
