"""Byte-level BPE: the ids of transformers on every text, exact spans and bytes, refusal of other formats."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tapeout.encoder.byte_level import ByteLevelEncoder
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.load import load_encoder
from tapeout.encoder.tokenizer_json import with_roles
from tests.byte_level_material import KINDS, LINES, ROLES, byte_level, write_tokenizer

pytestmark = pytest.mark.environment("nemo")

TEXTS = [
    *LINES,
    "",
    " ",
    "     five blanks     ",
    "\t\ttabs\tand \t blanks",
    "line\r\nline\r\r\n\n\n",
    "é e\u0301 ü ﬁ \u2126 한글",  # composed, combining, a ligature, a sign that NFC changes
    "😀👩‍👩‍👧‍👦🏳️‍🌈",
    "\u2581 U+2581\u2581",
    "a\0b\0",
    "assign y = a ? 4'b10_10 : 32'hDEAD_BEEF; // 1234567890 ٣٤",
    "שלום module עולם مرحبا",
    "\ufeff\u200b\u2028\u00a0\x7f\x80\u0378\U0010ffff",
    "<|endoftext|><s></s>[INST]<|im_start|>user<|eot_id|><extra_id_1>\x11 <think>",
]
PARTS = [*" \n\r\tae'_1<|>é", "\u0301", "漢", "😀", "\u2581", "\0", "clk_i", "'ll", "<|im_start|>", "<|eot_id|>", "<s>"]
ANY_TEXT = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=40).map("".join), st.text(st.characters(exclude_categories=["Cs"]))
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tokenizers")
    return {kind: write_tokenizer(folder / kind, kind).parent for kind in KINDS}


@pytest.fixture(scope="module")
def both(folders: dict[str, Path]) -> dict[str, tuple[ByteLevelEncoder, Any]]:
    """The encoder, and the tokenizer of transformers with the names of special tokens as text."""
    return {kind: (load_encoder(path), AutoTokenizer.from_pretrained(path)) for kind, path in folders.items()}


def check_text(encoder: ByteLevelEncoder, reference: Any, text: str) -> None:
    ids = encoder.encode(text)
    assert ids == reference(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert encoder.encode_batch([text, "x", text]) == [ids, encoder.encode("x"), ids]
    assert encoder.control_ids.isdisjoint(ids)
    data = b"".join(map(encoder.id_to_bytes, ids))
    assert encoder.decode(ids) == data.decode() == reference.decode(ids)
    assert (data.decode() == text) is not encoder.is_altered(text)
    tokens = encoder.encode_spans(text)
    assert [token for token, _, _ in tokens] == ids
    assert [first for _, first, _ in tokens] == [0, *(last for _, _, last in tokens)][: len(tokens)]
    if encoder.is_altered(text):  # then a span has the characters before the normalization
        assert not tokens or tokens[-1][2] == len(text)
        return
    position = 0
    for token, first, last in tokens:  # a character belongs to the token with its last byte
        end = position + len(encoder.id_to_bytes(token))
        complete = [len(data[:cut].decode(errors="ignore")) for cut in (position, end)]
        assert [first, last] == complete
        position = end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_transformers(both: dict[str, tuple[ByteLevelEncoder, Any]], kind: str, text: str) -> None:
    check_text(*both[kind], text)


@settings(max_examples=400)
@given(kind=st.sampled_from(KINDS), text=ANY_TEXT)
def test_ids_of_any_text_are_those_of_transformers(
    both: dict[str, tuple[ByteLevelEncoder, Any]], kind: str, text: str
) -> None:
    check_text(*both[kind], text)


def test_special_ids_follow_the_roles(both: dict[str, tuple[ByteLevelEncoder, Any]]) -> None:
    for kind, (encoder, reference) in both.items():
        assert encoder.size == len(reference)
        assert encoder.unk is None and encoder.byte_fallback
        assert (encoder.bos, encoder.eos, encoder.pad) == (
            reference.bos_token_id,
            reference.eos_token_id,
            reference.pad_token_id,
        )
        assert encoder.bos_ids == reference("").input_ids == ([encoder.bos] if kind == "llama3" else [])
        assert encoder.decode([encoder.eos, *encoder.encode("a")]) == "a"
        assert [encoder.id_to_piece(index) for index in range(encoder.size)] == reference.convert_ids_to_tokens(
            range(encoder.size)
        )
        names = {name for name, index in encoder.control_pieces.items() if index in reference.all_special_ids}
        assert names == set(reference.all_special_tokens)
    assert both["qwen2"][0].added_pieces == {"<think>": both["qwen2"][0].size - 1}


def test_a_rendered_template_has_the_ids_of_transformers(both: dict[str, tuple[ByteLevelEncoder, Any]]) -> None:
    for encoder, reference in both.values():
        text = "".join(f"{name}user\n\nHi  é {name}\n" for name in encoder.control_pieces)
        tokens = encoder.encode_rendered(text)
        assert [token for token, _, _ in tokens] == reference(text, add_special_tokens=False)["input_ids"]


def test_a_lone_surrogate_is_refused(both: dict[str, tuple[ByteLevelEncoder, Any]]) -> None:
    encoder, _ = both["gpt2"]
    for encode in (encoder.encode, encoder.encode_spans, lambda text: encoder.encode_batch(["a", text])):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            encode("a\ud800b")


def test_a_vocabulary_without_some_bytes_loses_them_and_says_so(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path, "smollm2", alphabet=False)
    encoder, reference = load_encoder(path), AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(encoder, ByteLevelEncoder) and not encoder.byte_fallback and encoder.unk is None
    for text in ("q <= q", "é漢", "Ω of Ünter", "\x01", "a\x01b"):
        ids = encoder.encode(text)
        assert ids == reference(text, add_special_tokens=False)["input_ids"]
        assert (encoder.decode(ids) == text) is not encoder.is_altered(text)
        tokens = encoder.encode_spans(text)
        assert not tokens or (tokens[0][1], tokens[-1][2]) == (0, len(text))
    assert encoder.is_altered("a\x01b") and not encoder.is_altered("q <= q")


def test_a_vocabulary_with_an_unknown_piece_says_which_text_it_cannot_spell(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path, "smollm2", alphabet=False)
    document = json.loads(path.read_text())
    document["model"]["unk_token"] = "<|endoftext|>"
    path.write_text(json.dumps(document))
    encoder, reference = load_encoder(path), AutoTokenizer.from_pretrained(tmp_path)
    assert encoder.unk == encoder.control_pieces["<|endoftext|>"] and not encoder.byte_fallback
    ids = encoder.encode("q\x01q")
    assert ids.count(encoder.unk) == 1
    assert ids == reference("q\x01q", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert encoder.decode(ids) == "qq" and encoder.is_altered("q\x01q")
    assert encoder.encode_spans("q\x01q")[1] == (encoder.unk, 1, 2)


def test_roles_may_be_inside_the_file(folders: dict[str, Path], tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    from tapeout.encoder.tokenizer_json import read, without_roles

    for kind, folder in folders.items():
        alone = tmp_path / f"{kind}.json"
        alone.write_bytes(read(folder))
        first, second = load_encoder(folder), load_encoder(alone)
        for name in ("bos", "eos", "pad", "bos_ids", "control_pieces", "added_pieces", "size"):
            assert getattr(first, name) == getattr(second, name)
        assert read(alone) == alone.read_bytes()
        assert Tokenizer.from_str(alone.read_text()).encode(LINES[0]).ids == first.bos_ids + first.encode(LINES[0])
        assert json.loads(without_roles(alone.read_bytes())) == json.loads((folder / "tokenizer.json").read_bytes())


def change(**parts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(parts)


def change_model(**parts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["model"].update(parts)


def change_added(**parts: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["added_tokens"][-1].update(parts)


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False}
SPLIT = {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Removed", "invert": True}


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (change(model={"type": "WordPiece", "vocab": {}}), "its model is WordPiece, not BPE"),
        (change(model={"type": "Unigram", "vocab": []}), "its model is Unigram, not BPE"),
        (change(model=None), "it has no model"),
        (change(version="\ud83d"), "is not valid JSON .*surrogates not allowed"),
        (change(version="\U0001f600", normalizer={"type": "Lowercase"}), "its normalizer Lowercase"),
        (change_model(byte_fallback=True), "as SentencePiece does"),
        (change_model(dropout=0.1), "option dropout 0.1"),
        (change_model(end_of_word_suffix="</w>"), "option end_of_word_suffix '</w>'"),
        (change_model(vocab={"a": 0, "c": 3}), "its ids are not the numbers"),
        (change_model(merges=[["a", "zzz"]]), "its merge 'a zzz' needs pieces"),
        (change_model(merges=["a"]), "does not have the format"),
        (change_model(unk_token="<unknown>"), "does not have the special piece '<unknown>'"),
        (change(normalizer={"type": "Lowercase"}), "its normalizer Lowercase changes texts"),
        (change(normalizer={"type": "Sequence", "normalizers": [{"type": "NFKC"}]}), "normalizer NFKC"),
        (change(pre_tokenizer=None), "0 pre-tokenizers ByteLevel"),
        (change(pre_tokenizer=METASPACE), "its pre-tokenizer Metaspace is not known"),
        (change(pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True}), "puts a blank before every text"),
        (change(pre_tokenizer={"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}), "Split removes text"),
        (change(decoder={"type": "WordPiece"}), "its decoder is not ByteLevel"),
        (change_added(lstrip=True), "has the option lstrip"),
        (change_added(id=7), "has two ids"),
        (change_added(content="clk", id=9999), "its ids are not the numbers"),
        (
            change(added_tokens=None, post_processor=None),
            "names the special token '<|end_of_text|>', which the vocabulary does not have",
        ),
    ],
)
def test_another_format_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, alter: Callable[[dict[str, Any]], None], reason: str
) -> None:
    document = byte_level("gpt2" if reason == "has two ids" else "llama3")
    alter(document)
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": ROLES["llama3"]["eos_token"]}))
    with pytest.raises(InvalidVocabulary, match=reason):
        load_encoder(tmp_path)


def test_damaged_files_and_missing_roles_are_refused_by_name(folders: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(InvalidVocabulary, match=r"no tokenizer\.model or tokenizer\.json"):
        load_encoder(tmp_path)
    for content, reason in ((b"\xff{", "not valid JSON"), (b"[]", "not a JSON object"), (b"[" * 99999, "not valid")):
        path.write_bytes(content)
        with pytest.raises(InvalidVocabulary, match=reason):
            load_encoder(path)
    path.write_bytes((folders["gpt2"] / "tokenizer.json").read_bytes())
    with pytest.raises(InvalidVocabulary, match="names no token that ends a text"):
        load_encoder(path)
    path.write_bytes((folders["llama3"] / "tokenizer.json").read_bytes())
    (tmp_path / "special_tokens_map.json").write_text('{"bos_token": "<s>", "eos_token": "<|eot_id|>"}')
    with pytest.raises(InvalidVocabulary, match=r"begins texts with '<\|begin_of_text\|>', but .* name '<s>'"):
        load_encoder(path)


JUNK = [
    None,
    True,
    0,
    -1,
    2**40,
    0.5,
    "",
    "x",
    "<|eot_id|>",
    [],
    ["x", "y"],
    [1],
    {},
    {"type": "Sequence"},
    {"type": "BPE"},
]


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_name(folders: dict[str, Path], data: st.DataObject) -> None:
    """One value anywhere in the document, or in the settings beside it, becomes another."""
    folder = folders[data.draw(st.sampled_from(KINDS))]
    files = {name: json.loads((folder / name).read_bytes()) for name in ("tokenizer.json", "tokenizer_config.json")}
    node: Any = files
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(min(len(node), 4)))
        key = data.draw(st.sampled_from(keys))
        if node is not files and (not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans())):
            node[key] = data.draw(st.sampled_from(JUNK))
            break
        node = node[key]
    written = {name: json.dumps(content).encode() for name, content in files.items()}
    content = written.pop("tokenizer.json")
    try:
        encoder = ByteLevelEncoder(with_roles(content, written))
        assert encoder.control_ids.isdisjoint(set(encoder.encode("module é\n <|eot_id|>")) - {encoder.unk})
    except InvalidVocabulary as error:
        assert "cannot be used: " in str(error) or "is not a JSON object" in str(error)


def test_a_control_token_that_text_could_make_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    document = byte_level("gpt2")
    piece = "".join(document["model"]["merges"][0])
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    document["added_tokens"].append({"id": document["model"]["vocab"][piece], "content": piece, **plain})
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(InvalidVocabulary, match=f"its control token '{piece}' is also a piece of ordinary text"):
        load_encoder(tmp_path)
