"""The file ``tokenizer.json`` of a byte-level BPE vocabulary as data: what it may contain, and the roles of its pieces.

Byte-level BPE writes each byte of a text as one of 256 visible characters, splits the text into words, and merges
neighbours inside a word by rank. Anything in the file that encodes in another way is refused by name, because texts
would be lost or altered without notice.

Which pieces begin and end a text is not part of the format; it is in files beside ``tokenizer.json``. ``with_roles``
writes it into the list of added tokens, where other libraries ignore it, so that one file is the whole tokenizer.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tapeout.encoder.errors import InvalidVocabulary

FILE = "tokenizer.json"
SETTINGS = ("special_tokens_map.json", "tokenizer_config.json")
"""Files beside ``FILE`` that name pieces by role; the later one decides."""
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Half of a character beyond U+FFFF, as an escape of JSON or as bytes."""
ROLES = ("bos_token", "eos_token", "pad_token")
BEGIN = "add_bos_token"
"""Role of a bos that every text begins with."""
LOSSLESS = {"Split": "behavior", "Punctuation": "behavior", "Digits": None, "ByteLevel": None}
"""Pre-tokenizers that may be used, and their option that must not be ``Removed``."""
PLAIN = ("single_word", "lstrip", "rstrip")
"""Options of an added token that must be off: with them its match depends on the text around it, or takes it away."""

Document = dict[str, Any]


def _visible_bytes() -> dict[str, int]:
    """Return the byte that each visible character represents: printable Latin-1 itself, the others from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + number): byte for number, byte in enumerate(others)}


BYTES = _visible_bytes()
UNUSED = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})
"""Bytes that no text in UTF-8 has."""


def refuse(reason: str) -> NoReturn:
    """Raise ``InvalidVocabulary`` with a reason."""
    raise InvalidVocabulary(
        f"The tokenizer.json cannot be used: {reason}.",
        "Use a byte-level BPE tokenizer (as of GPT-2, Llama 3, SmolLM2 or Qwen), or the model's tokenizer.model.",
    )


def read(path: Path) -> bytes:
    """Return the content of a tokenizer file, or of ``tokenizer.json`` in a folder, with the roles of its pieces."""
    file = path / FILE if path.is_dir() else path
    beside = {name: (file.parent / name).read_bytes() for name in SETTINGS if (file.parent / name).is_file()}
    return with_roles(file.read_bytes(), beside)


def with_roles(content: bytes, settings: Mapping[str, bytes]) -> bytes:
    """Return the content of a tokenizer.json that states the roles of its pieces.

    Args:
        content: content of the file; it is returned as it is if it states roles already.
        settings: content of the files of ``SETTINGS`` beside it, by name.

    Raises:
        InvalidVocabulary: see ``parse``; or the settings name a piece that the vocabulary does not have.
    """
    document = parse(content)
    if any("roles" in token for token in document["added_tokens"]):
        return content
    stated: dict[str, Any] = {}
    for name in SETTINGS:
        stated |= _json(settings[name], name) if name in settings else {}
    names = {role: text for role in ROLES if (text := _name(stated.get(role))) is not None}
    extra = stated.get("additional_special_tokens")
    special = [text for value in (extra if isinstance(extra, list) else []) if (text := _name(value)) is not None]
    added = {token["content"]: token for token in document["added_tokens"]}
    for name in dict.fromkeys([*names.values(), *special]):
        if name not in added:
            if name not in document["model"]["vocab"]:
                refuse(f"{' or '.join(settings)} names the special token {name!r}, which the vocabulary does not have")
            plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            added[name] = {"id": document["model"]["vocab"][name], "content": name, **plain}
        added[name]["special"] = True
    for role, name in names.items():
        added[name].setdefault("roles", []).append(role)
    if stated.get(BEGIN) is True and "bos_token" in names:
        added[names["bos_token"]]["roles"].append(BEGIN)
    document["added_tokens"] = sorted(added.values(), key=lambda token: token["id"])
    return dump(document)


def without_roles(content: bytes) -> bytes:
    """Return the content without what ``with_roles`` adds."""
    document = parse(content)
    if any("roles" in token for token in document["added_tokens"]):
        for token in document["added_tokens"]:
            token.pop("roles", None)
        return dump(document)
    return content


def dump(document: Document) -> bytes:
    """Return the content of a file."""
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def parse(content: bytes) -> Document:
    """Return the document in a tokenizer.json.

    Raises:
        InvalidVocabulary: it is damaged, or not byte-level BPE that keeps every text.
    """
    document = _json(content, FILE)
    try:
        _check_components(document)
        document["added_tokens"] = document.get("added_tokens") or []
        _check_pieces(document)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        refuse(f"it does not have the format of the library tokenizers ({error!r})")
    return document


def pieces(document: Document) -> list[str]:
    """Return the names of all pieces by id, those of added tokens as well."""
    ids = document["model"]["vocab"] | {token["content"]: token["id"] for token in document["added_tokens"]}
    return sorted(ids, key=ids.__getitem__)


def merges(document: Document) -> list[tuple[str, str]]:
    """Return the pairs that are merged, by rank."""
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in document["model"]["merges"])
    return [(left, right) for left, right in pairs]


def roles(document: Document) -> dict[str, str]:
    """Return the names of special pieces by their roles."""
    return {role: token["content"] for token in document["added_tokens"] for role in token.get("roles", ())}


def first_special_piece(document: Document) -> str | None:
    """Return the name of the special piece that the tokenizer itself puts before a text."""
    for step in _steps(document.get("post_processor"), "processors"):
        first = (step.get("single") or [{}])[0]
        if "SpecialToken" in first:
            return str(step["special_tokens"][first["SpecialToken"]["id"]]["tokens"][0])
    return None


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
        if SURROGATE.search(content):
            json.dumps(document, ensure_ascii=False).encode()  # raises an error if one is not part of a pair
    except (ValueError, RecursionError) as error:
        raise InvalidVocabulary(f"{name} is not valid JSON ({error}).", "Fetch the tokenizer again.") from error
    if not isinstance(document, dict):
        raise InvalidVocabulary(f"{name} is not a JSON object.", "Fetch the tokenizer again.")
    return document


def _name(value: Any) -> str | None:
    """Return the text of a special token, which may be written as an object."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) and value else None


def _steps(step: Any, members: str) -> Iterator[dict[str, Any]]:
    """Yield a component of the file, or the members of a sequence of components."""
    if isinstance(step, dict) and step.get("type") == "Sequence":
        for member in step.get(members) or ():
            yield from _steps(member, members)
    elif isinstance(step, dict):
        yield step
    elif step is not None:
        refuse(f"it has a component {step!r}")


def _check_components(document: Document) -> None:
    """Refuse what is not byte-level BPE, and components that alter or lose texts."""
    model = document.get("model")
    if not isinstance(model, dict):
        refuse("it has no model")
    kind = model.get("type", "BPE" if "merges" in model else "unknown")  # old files do not state it
    if kind != "BPE":
        refuse(f"its model is {kind}, not BPE")
    if model.get("byte_fallback"):
        refuse("its BPE spells unknown characters in byte pieces, as SentencePiece does, and is not byte-level")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            refuse(f"its BPE has the option {option} {model[option]!r}")
    for normalizer in _steps(document.get("normalizer"), "normalizers"):
        if normalizer.get("type") != "NFC":
            refuse(f"its normalizer {normalizer.get('type')} changes texts")
    _check_pre_tokenizers(list(_steps(document.get("pre_tokenizer"), "pretokenizers")))
    if "ByteLevel" not in [step.get("type") for step in _steps(document.get("decoder"), "decoders")]:
        refuse("its decoder is not ByteLevel")


def _check_pre_tokenizers(steps: list[dict[str, Any]]) -> None:
    """Refuse pre-tokenizers that lose or add text, and files without exactly one that writes bytes."""
    kinds = [step.get("type") for step in steps]
    for kind, step in zip(kinds, steps, strict=True):
        if kind not in LOSSLESS:
            refuse(f"its pre-tokenizer {kind} is not known")
        if step.get(LOSSLESS[kind] or "") == "Removed":
            refuse(f"its pre-tokenizer {kind} removes text")
        if kind == "ByteLevel" and step.get("add_prefix_space", True):
            refuse("its pre-tokenizer ByteLevel puts a blank before every text (add_prefix_space)")
    if kinds.count("ByteLevel") != 1:
        refuse(f"it has {kinds.count('ByteLevel')} pre-tokenizers ByteLevel instead of one")


def _check_pieces(document: Document) -> None:
    """Refuse ids with gaps, ambiguous names, and control tokens that text could encode to."""
    vocab, products = document["model"]["vocab"], {left + right for left, right in merges(document)}
    for token in document["added_tokens"]:
        name, index = token["content"], token["id"]
        option = next((option for option in PLAIN if token.get(option)), None)
        if option is not None:
            refuse(f"its added token {name!r} has the option {option}")
        if vocab.get(name, index) != index:
            refuse(f"its added token {name!r} has two ids, {index} and {vocab[name]}")
        if token.get("special") and (name in products or name in BYTES):
            refuse(f"its control token {name!r} is also a piece of ordinary text")
    ids = vocab | {token["content"]: token["id"] for token in document["added_tokens"]}
    "".join(ids).encode()  # raises an error unless all names are texts
    if sorted(ids.values()) != list(range(len(ids))):
        refuse("its ids are not the numbers from 0 to the number of its pieces, each once")
    first, unknown = first_special_piece(document), document["model"].get("unk_token")
    lacking = next((name for name in (first, unknown) if name is not None and name not in ids), None)
    if lacking is not None:
        refuse(f"its vocabulary does not have the special piece {lacking!r}")
    missing = next((pair for pair in merges(document) if not {*pair, "".join(pair)} <= vocab.keys()), None)
    if missing is not None:
        refuse(f"its merge {' '.join(missing)!r} needs pieces that its vocabulary does not have")
