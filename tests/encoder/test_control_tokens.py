"""Names of control tokens in a text are text, never control ids: one policy for both families of tokenizers."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from tapeout.config.instructions import SPLITS, EncodeJob, Prompt
from tapeout.data.encode.encoded_set import encode_set
from tapeout.data.shards.tokens import write_tokens
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tests.byte_level_material import LINES, write_tokenizer
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("nemo")

NAMES = ["<s>", "</s>", "[INST]", "<|im_start|>", "<|eot_id|>", "<extra_id_1>"]
"""Control pieces of both tokenizers below."""
TEXTS = [
    text
    for name in [*NAMES, "\x11"]
    for text in (name, name * 3, f"a{name}b", f" a {name} b\n", f"{name} module\r\n\t{name}", f"é{name}漢")
]


@pytest.fixture(scope="module", params=["tokenizer.model", "tokenizer.json"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / request.param
    if path.suffix == ".model":
        lines = [*LINES, *NAMES, "\x11"] * 20  # the trainer sees the names
        path.write_bytes(train(lines, 420, control_symbols=NAMES[2:], hard_vocab_limit=False))
        return path
    return write_tokenizer(path.parent, "llama3", lines=[*LINES, *NAMES, "\x11"])


@pytest.fixture(scope="module")
def encoder(file: Path) -> Encoder:
    encoder = load_encoder(file)
    assert set(NAMES) <= set(encoder.control_pieces)
    return encoder


def check(encoder: Encoder, ids: list[int], text: str) -> None:
    assert ids and not set(ids) & set(encoder.control_pieces.values()), text
    assert encoder.decode(ids) == text


def test_encoders_take_names_for_text(encoder: Encoder) -> None:
    for text, ids in zip(TEXTS, encoder.encode_batch(TEXTS), strict=True):
        check(encoder, ids, text)
        assert encoder.encode(text) == ids == [token for token, _, _ in encoder.encode_spans(text)]


def test_corpora_take_names_for_text(encoder: Encoder, file: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents.jsonl"
    rows = ({"digest": str(number), "component": "a", "text": text} for number, text in enumerate(TEXTS))
    documents.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    write_tokens(documents, None, file, tmp_path / "tokens", append_eod=True, workers=1)
    stored = np.fromfile(tmp_path / "tokens" / "a.bin", "<u2").tolist()
    assert stored == [index for text in TEXTS for index in (*encoder.encode(text), encoder.eos)]
    assert stored.count(encoder.eos) == len(TEXTS)


@pytest.mark.parametrize("tokens", ["aligner", "extra_id", "template"])
def test_rows_take_names_for_text_or_are_dropped(encoder: Encoder, file: Path, tmp_path: Path, tokens: str) -> None:
    """A text with a mark of the prompt could start another turn; its row is dropped and counted.

    Control pieces that a chat template writes are told from their names in a text by their ids.
    """
    rows = []
    for number, text in enumerate(TEXTS):
        row = {"digest": f"q{number}", "category": "c", "input": text, "output": f"it is {text}"}
        talk = [{"from": "User", "value": text, "label": None}, {"from": "Assistant", "value": "yes", "label": None}]
        rows += [row, {"digest": f"t{number}", "category": "c", "conversations": talk, "mask": "User", "system": ""}]
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    source = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|eot_id|>{% endfor %}"
    source += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    prompt = Prompt.model_validate({"tokens": tokens, "chat_template": "x" if tokens == "template" else None})
    job = EncodeJob(
        prompt=prompt,
        chat_template=source if tokens == "template" else None,
        template="Q: {input}\nA: {output}",
        seq_length=128,
    )
    encode_set(tmp_path, file, job, tmp_path / "encoded")
    encoded = {row["digest"]: row for row in map(orjson.loads, (tmp_path / "encoded" / "train.jsonl").open("rb"))}
    control = set(encoder.control_pieces.values())
    marks = {"aligner": ["\x11"], "extra_id": ["<extra_id_1>"], "template": []}[tokens]
    for number, text in enumerate(TEXTS):
        ids, answer = encoded[f"q{number}"]["ids"], encoded[f"q{number}"]["mask"].index(1)
        assert ids[: len(encoder.bos_ids)] == encoder.bos_ids and ids[-1] == encoder.eos
        check(encoder, ids[len(encoder.bos_ids) : answer], f"Q: {text}\nA: ")
        check(encoder, ids[answer:-1], f"it is {text}")
        assert (f"t{number}" in encoded) is not any(mark in text for mark in marks)
        if tokens == "template":
            turn = [token for token in encoded[f"t{number}"]["ids"] if token not in control]
            assert encoder.decode(turn).replace(" ", "") == f"user\n{text}assistant\nyes".replace(" ", "")
            assert len(encoded[f"t{number}"]["ids"]) - len(turn) == 4
    dropped = orjson.loads((tmp_path / "encoded" / "report.json").read_bytes())["train"]["dropped"]
    expected = sum(any(mark in text for mark in marks) for text in TEXTS)
    assert sum(drop["count"] for drop in dropped.values()) == expected
