"""Byte-level vocabularies: their own merges are continued, new ids follow all others, old ones stay."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tapeout.config.base import BaseExtended
from tapeout.config.bases.tiny import Base
from tapeout.encoder.byte_level_vocabulary import ByteLevelVocabulary
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.load import load_encoder
from tapeout.encoder.tokenizer_json import parse
from tapeout.models import llama
from tapeout.models.extend import extend_model
from tapeout.models.huggingface import load_huggingface, new_model, save_model
from tapeout.tokenizer.checks import check, check_base_pieces
from tapeout.tokenizer.extension import Extension, extend_vocabulary
from tapeout.tokenizer.segmentation import Merges, merged
from tapeout.tokenizer.source import vocabulary_in_source
from tests.byte_level_material import KINDS, write_tokenizer
from tests.tokenizer.material import DOMAIN, GENERAL, PROSE, core, job

pytestmark = pytest.mark.environment("nemo")

CONTROL = ["<|eot_id|>", "<|im_start|>", "<think>", "<s>", "[INST]"]
ANY_TEXT = st.one_of(
    st.lists(st.sampled_from([*CONTROL, *" \n\taé_0", "clk_i", "pgic", "漢"]), max_size=20).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ByteLevelVocabulary]:
    folder = tmp_path_factory.mktemp("bases")
    lines = [*PROSE, "é 漢字 <|im_start|> <|eot_id|> <think> [INST] <s>"]
    for kind in KINDS:
        write_tokenizer(folder / kind, kind, lines=lines, size=440)
    return {kind: vocabulary_in_source(folder / kind, "tokenizer.json") for kind in KINDS}


@pytest.fixture(scope="module")
def extensions(bases: dict[str, ByteLevelVocabulary]) -> dict[str, Extension]:
    marked = {name: [*texts, *(f"{mark}{mark} x{mark}" for mark in CONTROL * 9)] for name, texts in DOMAIN.items()}
    return {kind: extend_vocabulary(base, marked, GENERAL, job(), threads=1) for kind, base in bases.items()}


def test_new_ids_follow_all_others_and_the_library_reads_them(
    bases: dict[str, ByteLevelVocabulary], extensions: dict[str, Extension], tmp_path: Path
) -> None:
    for kind, extension in extensions.items():
        before, after = bases[kind].encoder, extension.vocabulary.encoder
        names = [new.piece for new in extension.pieces]
        assert len(names) == len(set(names)) == 24
        assert extension.vocabulary.names == bases[kind].names + names
        assert (after.bos, after.eos, after.pad, after.bos_ids) == (before.bos, before.eos, before.pad, before.bos_ids)
        assert (after.control_pieces, after.added_pieces) == (before.control_pieces, before.added_pieces)
        library = Tokenizer.from_str(extension.vocabulary.content.decode())
        assert library.get_vocab() == {name: index for index, name in enumerate(extension.vocabulary.names)}
        old, new = parse(bases[kind].content)["model"]["merges"], parse(extension.vocabulary.content)["model"]["merges"]
        assert new[: len(old)] == old and len(new) == len(old) + 24


def test_no_new_piece_has_a_control_name_a_digit_or_a_blank_after_other_text(extensions: dict[str, Extension]) -> None:
    for kind, extension in extensions.items():
        for new in extension.pieces:
            text = extension.vocabulary.spelling(new.piece) or "\0"
            assert not re.search(r"\S[ \t]|[^\S \n\t]|\0|\d", text)
            assert not [name for name in extension.vocabulary.reserved_names if name in text], kind


def test_a_control_name_that_is_a_word_is_not_learnt(bases: dict[str, ByteLevelVocabulary]) -> None:
    document = parse(bases["llama3"].content)
    document["added_tokens"][-1]["content"] = "gic"
    for content, learnt in ((bases["llama3"].content, True), (json.dumps(document).encode(), False)):
        extension = extend_vocabulary(ByteLevelVocabulary(content), DOMAIN, GENERAL, job(), threads=1)
        assert any("gic" in new.piece for new in extension.pieces) is learnt


def test_the_extended_vocabulary_segments_as_simulated(extensions: dict[str, Extension]) -> None:
    marked = [f"{mark}{mark} x{mark}" for mark in CONTROL * 9]
    for kind, extension in extensions.items():
        encoder = extension.vocabulary.encoder
        texts = [text for texts in DOMAIN.values() for text in [*texts, *marked]]
        actual = Counter(encoder.id_to_piece(index) for ids in encoder.encode_batch(texts) for index in ids)
        assert {new.piece: extension.uses[new.piece] for new in extension.pieces} == {
            new.piece: actual[new.piece] for new in extension.pieces
        }, kind


@settings(max_examples=150)
@given(kind=st.sampled_from(KINDS), text=ANY_TEXT)
def test_old_tokens_change_only_by_new_merges(
    bases: dict[str, ByteLevelVocabulary], extensions: dict[str, Extension], kind: str, text: str
) -> None:
    base, extended = bases[kind], extensions[kind].vocabulary
    ids = extended.encoder.encode(text)
    assert extended.encoder.decode(ids) == base.encoder.decode(base.encoder.encode(text))
    assert set(extended.encoder.control_pieces.values()).isdisjoint(ids)
    expected = []
    merges = Merges(extended.names, extended.ranks, extended.separator)
    for part in next(base.encode_parts([text], 1)):
        word = tuple(base.names[index] for index in part)
        expected += merged(word, merges)
    if kind != "llama3":  # where a whole word that is a piece is taken without merges
        assert [extended.names[index] for index in ids] == expected


def test_the_same_gates_and_report(bases: dict[str, ByteLevelVocabulary], extensions: dict[str, Extension]) -> None:
    for kind, base in bases.items():
        size = base.encoder.size
        settings = job(multiple=size + 24)
        report = check(base, extensions[kind], core("gamma", 3), PROSE, settings, threads=1)
        assert report["vocabulary"] == {"base": size, "extended": size + 24, "multiple": size + 24}
        assert report["test"]["domain"]["change"] < -0.03 and report["gates"]["base_pieces_unchanged"] == size
        assert [piece["id"] for piece in report["pieces"]] == list(range(size, size + 24))
        with pytest.raises(InvalidVocabulary, match="None in the extended"):
            check_base_pieces(extensions[kind].vocabulary, base)
        document = parse(extensions[kind].vocabulary.content)
        first, second, *rest = document["model"]["merges"]
        document["model"]["merges"] = [second, first, *rest]
        with pytest.raises(InvalidVocabulary, match=r"Piece \d+ is .* in the base model"):
            check_base_pieces(base, ByteLevelVocabulary(json.dumps(document).encode()))


def test_without_new_pieces_the_extended_vocabulary_is_the_base_one(bases: dict[str, ByteLevelVocabulary]) -> None:
    settings = job(new_pieces=0)
    extension = extend_vocabulary(bases["llama3"], DOMAIN, GENERAL, settings, threads=1)
    assert extension.vocabulary.content == bases["llama3"].content and not extension.pieces


def test_a_model_is_saved_with_its_tokenizer_and_extended(
    bases: dict[str, ByteLevelVocabulary], extensions: dict[str, Extension], tmp_path: Path
) -> None:
    """Its matrices may be padded: new pieces take the first of the rows that no piece had."""
    for kind in ("llama3", "smollm2"):
        extension, size = extensions[kind], bases[kind].encoder.size
        files = tmp_path / kind / "base.json", tmp_path / kind / "tokenizer.json"
        files[0].parent.mkdir()
        files[0].write_bytes(bases[kind].content)
        files[1].write_bytes(extension.vocabulary.content)
        sizes: dict[str, Any] = {"hidden_size": 16, "num_layers": 1, "ffn_hidden_size": 16, "num_attention_heads": 2}
        model = new_model(Base.model_validate({"architecture": {**sizes, "num_query_groups": 1}}), files[0])
        padding = 3
        model.resize_token_embeddings(size + padding)
        save_model(model, llama, files[0], tmp_path / kind / "base")
        folder = tmp_path / kind / "extended"
        report = extend_model(tmp_path / kind / "base", files[1], BaseExtended(), folder)
        extended = load_huggingface(folder)
        assert (report["rows_before"], report["rows_after"], report["padded_rows"]) == (size + 3, size + 24, 0)
        before, rows = model.get_input_embeddings().weight, extended.get_input_embeddings().weight
        assert torch.equal(rows[:size], before[:size])
        piece = extension.vocabulary.names[size]
        left, right = extension.pieces[0].merge.split(" ")
        assert left + right == piece
        parts = [bases[kind].names.index(name) for name in (left, right)]
        assert torch.allclose(rows[size], before[parts].mean(0))
        assert not extended.get_output_embeddings().weight[size:].any()
        encoder, served = load_encoder(folder), AutoTokenizer.from_pretrained(folder)
        text = " ".join(DOMAIN["alpha"])
        assert encoder.encode(text) == served(text, add_special_tokens=False)["input_ids"]
        assert encoder.encode(text) == extension.vocabulary.encoder.encode(text)
        assert (encoder.bos, encoder.eos, encoder.bos_ids) == (
            served.bos_token_id,
            served.eos_token_id,
            served("").input_ids,
        )
        assert load_huggingface(folder).config.eos_token_id == encoder.eos
