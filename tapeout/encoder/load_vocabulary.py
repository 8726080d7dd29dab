"""Choose the implementation of an extendable vocabulary for a file, as ``load`` chooses the encoder."""

from collections.abc import Mapping
from pathlib import Path

from tapeout.encoder import tokenizer_json
from tapeout.encoder.extendable import Vocabulary


def read_vocabulary(name: str, content: bytes, beside: Mapping[str, bytes]) -> Vocabulary:
    """Return the vocabulary in the content of a file.

    Args:
        name: name of the file, which decides the implementation.
        content: its content.
        beside: content of the files beside it that state the roles of pieces, by name (``settings_beside``).

    Raises:
        InvalidVocabulary: its merges cannot be continued.
    """
    if name.endswith(".json"):
        from tapeout.encoder.byte_level_vocabulary import ByteLevelVocabulary

        return ByteLevelVocabulary(tokenizer_json.with_roles(content, beside))
    from tapeout.encoder.vocabulary import SentencePieceVocabulary

    return SentencePieceVocabulary(content)


def settings_beside(name: str) -> list[str]:
    """Return the names of the files beside a vocabulary's file that may state the roles of its pieces."""
    return list(tokenizer_json.SETTINGS) if name.endswith(".json") else []


def load_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary in a file; see ``read_vocabulary``."""
    beside = {name: path.with_name(name) for name in settings_beside(path.name)}
    settings = {name: file.read_bytes() for name, file in beside.items() if file.is_file()}
    return read_vocabulary(path.name, path.read_bytes(), settings)
