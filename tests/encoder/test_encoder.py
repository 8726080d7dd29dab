"""The Encoder interface: both families, a toy from outside of the package, and who may import a tokenizer library."""

import ast
import json
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.instructions import SPLITS, EncodeJob, Prompt
from tapeout.data.encode.encoded_set import encode_set
from tapeout.data.shards.tokens import write_tokens
from tapeout.encoder.bulk import bulk_encoder
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import CHOICE_FILE, load_encoder
from tapeout.plugins import VARIABLE, InvalidPlugin, UnknownPlugin
from tests.byte_level_material import write_tokenizer
from tests.small_tokenizer import train
from tests.toys.byte_encoder import ByteEncoder

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
SPACE_MARK = "\N{LOWER ONE EIGHTH BLOCK}"
CHARACTERS = [*" \n\tabcmodule_(){}<>019é\0\x7f\u3000漢", SPACE_MARK, "</s>", "<eos>"]
TEXTS = st.lists(st.sampled_from(CHARACTERS), max_size=60).map("".join)


@pytest.fixture(scope="module", params=["sentencepiece", "byte_level", "tests.toys.byte_encoder"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """An encoder, loaded from a folder as a step loads it."""
    folder = tmp_path_factory.mktemp("tokenizer")
    if request.param == "sentencepiece":
        lines = (f"module m{number} (input a, output b); é </s>" for number in range(50))
        (folder / "tokenizer.model").write_bytes(train(lines, 350, split_digits=True, hard_vocab_limit=False))
    elif request.param == "byte_level":
        write_tokenizer(folder, "gpt2")
    else:
        (folder / CHOICE_FILE).write_text(json.dumps({"encoder": request.param}))
    return load_encoder(folder)


@settings(deadline=None, max_examples=200)
@given(text=st.one_of(TEXTS, st.text(st.characters(exclude_categories=["Cs"]), max_size=40)))
def test_every_way_to_encode_gives_the_same_ids(encoder: Encoder, text: str) -> None:
    ids = encoder.encode(text)
    assert encoder.byte_fallback and encoder.encode_batch([text, text], threads=2) == [ids, ids]
    bulk = bulk_encoder(encoder, np.dtype("<u2"), append_eos=False)
    assert np.frombuffer(bulk.encode(text), "<u2").tolist() == ids
    assert (encoder.decode(ids) == text) or encoder.is_altered(text)
    assert set(ids).isdisjoint(encoder.control_pieces.values())
    assert b"".join(map(encoder.id_to_bytes, ids)).decode().strip() == encoder.decode(ids).strip()

    tokens = encoder.encode_spans(text)
    assert [token for token, _, _ in tokens] == ids
    ends = [0, *(end for _, _, end in tokens)]
    assert all(last == first for last, (_, first, _) in zip(ends, tokens, strict=False)) and ends[-1] == len(text)


@settings(deadline=None, max_examples=100)
@given(parts=st.lists(TEXTS, max_size=4))
def test_a_rendered_template_has_its_control_pieces(encoder: Encoder, parts: list[str]) -> None:
    eos = encoder.id_to_piece(encoder.eos)
    assert encoder.control_pieces[eos] == encoder.eos
    text = eos.join(part.replace("<", "") for part in parts)
    tokens = encoder.encode_rendered(text)
    marks = [text[first:last] for token, first, last in tokens if token == encoder.eos]
    assert marks == [eos] * (len(parts) - 1 if parts else 0)
    assert "".join(text[first:last] for _, first, last in tokens) == text


def test_a_toy_encoder_encodes_instruction_sets_and_shards(tmp_path: Path) -> None:
    (tmp_path / CHOICE_FILE).write_text('{"encoder": "tests.toys.byte_encoder"}')
    assert isinstance(load_encoder(tmp_path), ByteEncoder)
    no_file = tmp_path / "tokenizer.model"
    question = {"input": "a", "output": "yes", "digest": "0", "category": "c"}
    turns = [{"from": "User", "value": "é", "label": None}, {"from": "Assistant", "value": "b", "label": None}]
    talk = {"conversations": turns, "mask": "User", "system": "", "digest": "1", "category": "c"}
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in (question, talk)))
    template = (
        "{% for m in messages %}{{ '<user>' if m['role'] == 'user' else '' }}{{ m['content'] }}"
        "{{ '' if m['role'] == 'user' else eos_token }}{% endfor %}"
    )
    prompt = Prompt(tokens="template", chat_template="x.jinja")
    job = EncodeJob(prompt=prompt, chat_template=template, template="Q: {input}\nA: {output}", seq_length=64)
    encode_set(tmp_path, no_file, job, tmp_path / "encoded")
    first, second = map(orjson.loads, (tmp_path / "encoded" / "train.jsonl").open("rb"))
    assert first["ids"] == [*b"Q: a\nA: yes", 256] and first["mask"] == [0] * 8 + [1] * 4
    assert second["ids"] == [257, *"é".encode(), ord("b"), 256] and second["mask"] == [0, 0, 0, 1, 1]

    documents = tmp_path / "documents.jsonl"
    documents.write_bytes(orjson.dumps({"digest": "0", "component": "a", "text": "aé"}) + b"\n")
    write_tokens(documents, None, no_file, tmp_path / "tokens", append_eod=True, workers=1)
    assert np.fromfile(tmp_path / "tokens" / "a.bin", "<u2").tolist() == [*"aé".encode(), 256]


def test_a_step_declares_the_encoder_that_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CHOICE_FILE).write_text('{"encoder": "tests.toys.byte_encoder"}')
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(InvalidPlugin, match=r"tests\.toys\.byte_encoder"):
        load_encoder(tmp_path)
    monkeypatch.delenv(VARIABLE)
    (tmp_path / CHOICE_FILE).write_text('{"encoder": "absent"}')
    with pytest.raises(UnknownPlugin, match="no module tapeout.encoder.absent"):
        load_encoder(tmp_path)


def test_only_the_encoder_package_imports_a_tokenizer_library() -> None:
    libraries = {"sentencepiece", "tokenizers", "tiktoken"}
    for path in [*(ROOT / "tapeout").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]:
        if path.is_relative_to(ROOT / "tapeout/encoder"):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert libraries.isdisjoint(name.partition(".")[0] for name in names), path
