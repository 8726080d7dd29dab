"""Masks cover exactly the trained text, for any texts, marks and token boundaries."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.data.encode.chat import LABELLED, Unfit
from tapeout.data.encode.row_encoder import RowEncoder
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tests.data.encode.test_encoded_set import LLAMA_2, SENTENCES
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("data")

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ODD = [
    *" \n\t<>_:|1ab",
    "extra_id_1",
    "<extra_id_",
    "User\n",
    "quality:4",
    "[/INST]",
    "</s",
    "é",
    "e\u0301",  # two characters that NFKC makes one
    "ﬁ",  # one that it makes two
    "½",
    "İ",
    "漢",
    "👩‍🔬",
    "\u00a0",
    "\u200b",
    "\u2028",
    "\u3000",
    "\ufeff",
    "\N{LOWER ONE EIGHTH BLOCK}",
]
text = st.lists(st.sampled_from(ODD), max_size=8).map("".join)
turn_text = st.one_of(
    text, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x11\x12"), max_size=12)
)
QUICK = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(train(SENTENCES * 20, hard_vocab_limit=False))
    return load_encoder(path)


TEMPLATES = {"llama": LLAMA_2, "chatml": CHATML}


def row_encoder(processor: Any, name: str, length: int = 100_000) -> RowEncoder:
    """An encoder for a set of marks, or a chat template, of that name."""
    template = TEMPLATES.get(name)
    prompt = {"tokens": "template", "chat_template": "x.jinja"} if template else {"tokens": name}
    job = EncodeJob(
        prompt=Prompt.model_validate(prompt), chat_template=template, template="{input} {output}", seq_length=length
    )
    return RowEncoder(processor, job)


def talk(texts: list[str], labels: bool) -> dict[str, Any]:
    turns = [
        {
            "from": ("User", "Assistant")[index % 2],
            "value": text,
            "label": "quality:4" if labels and index % 2 else None,
        }
        for index, text in enumerate(texts)
    ]
    return {"conversations": turns, "system": "Be brief.", "mask": "User", "type": LABELLED if labels else None}


def stood_for(processor: Any, ids: list[int]) -> bytes:
    """Return the bytes of the tokens, control pieces as their names."""
    return b"".join(map(processor.id_to_bytes, ids))


@QUICK
@given(
    st.lists(turn_text, min_size=2, max_size=7),
    st.booleans(),
    st.sampled_from(["aligner", "extra_id", "llama", "chatml"]),
)
def test_the_mask_covers_the_spans_byte_for_byte(processor: Any, texts: list[str], labels: bool, name: str) -> None:
    encoder = row_encoder(processor, name)
    row = talk(texts, labels)
    try:
        whole, spans = encoder.render(row)
    except Unfit:
        return
    ids, mask, cut = encoder.encode(row)
    trained = [token for token, counts in zip(ids, mask, strict=True) if counts]
    wanted = "".join(whole[start:end] for start, end in spans).replace("▁", " ")
    assert not cut and stood_for(processor, trained) == wanted.encode()
    answers = [turn["value"].replace("▁", " ") for turn in row["conversations"] if turn["from"] == "Assistant"]
    for answer in answers:
        assert answer.strip() in wanted or name == "llama"
    for turn in row["conversations"]:
        assert turn["from"] != "User" or len(turn["value"]) < 9 or f"User\n{turn['value']}" not in wanted


@QUICK
@given(
    st.lists(turn_text, min_size=2, max_size=9), st.integers(8, 120), st.sampled_from(["aligner", "extra_id", "chatml"])
)
def test_no_answer_is_cut_at_any_length(processor: Any, texts: list[str], length: int, name: str) -> None:
    row = talk(texts, labels=False)
    try:
        ids, mask, cut = row_encoder(processor, name, length).encode(row)
    except Unfit:
        return
    assert len(ids) <= length + 1 and any(mask[1:])
    # it is the encoding of its first turns, the last of which is an answer if any were left out
    sizes = range(1, len(texts) + 1)
    same = []
    for size in sizes:
        part = {**row, "conversations": row["conversations"][:size]}
        try:
            same += [size] if row_encoder(processor, name).encode(part)[:2] == (ids, mask) else []
        except Unfit:
            continue
    assert len(texts) in same if not cut else any(size % 2 == 0 for size in same)


@QUICK
@given(st.lists(turn_text, min_size=1, max_size=4).map("".join))
def test_decoding_inverts_encoding(processor: Any, given_text: str) -> None:
    """Except for the word mark, which SentencePiece decodes to a blank."""
    plain = given_text.replace("\N{LOWER ONE EIGHTH BLOCK}", " ")
    assert processor.decode(processor.encode(given_text)) == plain
    assert processor.decode([token for token, _, _ in processor.encode_spans(given_text)]) == plain
