"""Tokens, labels and masks agree with those of nemo_toolkit's own data sets, token by token (docs/formats.md).

The intended differences, by fault: NeMo puts SentencePiece's blank before every part of a template
(F14), cuts rows that are too long (F47), and cuts conversations after their masks (F57). There are no others.
"""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.data.encode.chat import ALIGNER, EXTRA_ID, LABELLED, Marks
from tapeout.data.encode.row_encoder import WHOLE, RowEncoder
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("nemo")

SAID = "the clock drives Ångström 时钟 🎉 always_ff @(posedge clk) q <= d; naïve x y [7:0] </s> a<s>b <unk> <0x0A>"
WORDS = [*SAID.split(), "", "\t"]
ROWS = 300
TEMPLATES = {"aligner": ALIGNER, "extra_id": EXTRA_ID}


def words(draw: Random, least: int = 1, most: int = 12) -> str:
    """Return random words with line breaks, leading blanks and empty lines."""
    text = "".join(
        draw.choice(WORDS) + draw.choice([" ", " ", " ", "\n", "\n\n", "  "]) for _ in range(draw.randint(least, most))
    )
    return draw.choice(["", "", " ", "\n"]) + text.rstrip() + draw.choice(["", "."])


def conversation(number: int) -> dict[str, Any]:
    """Return a conversation of 2 to 9 turns, some with labels, some that end with the user."""
    draw = Random(number)
    turns = []
    for place in range(draw.randint(2, 9)):
        speaker = ("User", "Assistant")[place % 2]
        turn: dict[str, Any] = {"from": speaker, "value": words(draw)}
        if speaker == "User":
            turn["label"] = None
        elif draw.random() < 0.6:
            turn["label"] = f"quality:{draw.randint(0, 4)},toxicity:{draw.randint(0, 4)}"
        turns.append(turn)
    kind = LABELLED if draw.random() < 0.7 else None
    return {"conversations": turns, "system": words(draw), "mask": "User", "type": kind}


CONVERSATIONS = [conversation(number) for number in range(ROWS)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a SentencePiece model without normalization and with byte fallback, as Llama's."""
    # without line breaks, as Llama's was trained: they are bytes, and no piece reaches over one
    lines = [line for row in CONVERSATIONS for turn in row["conversations"] for line in turn["value"].splitlines()]
    written = train(lines * 2, 420, character_coverage=0.98, hard_vocab_limit=False)
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(written)
    return path


@pytest.fixture(scope="module")
def processor(model: Path) -> Encoder:
    return load_encoder(model)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def nemo_batch(kind: str, path: Path, model: Path, **options: Any) -> list[tuple[list[int], list[int], list[int]]]:
    """Return tokens, labels and mask of every row, each collated alone by NeMo's data set."""
    from nemo.collections.common.tokenizers.sentencepiece_tokenizer import SentencePieceTokenizer
    from nemo.collections.nlp.data.language_modeling.megatron import gpt_sft_chat_dataset, gpt_sft_dataset

    sets = {"prompt": gpt_sft_dataset.GPTSFTDataset, "chat": gpt_sft_chat_dataset.GPTSFTChatDataset}
    found = sets[kind](
        str(path),
        SentencePieceTokenizer(str(model)),
        max_seq_length=4096,
        pad_seq_length_to_mult=1,
        memmap_workers=1,
        tokens_to_generate=0,
        index_mapping_dir=str(path.parent / f"{path.stem}-index"),
        **options,
    )
    rows = []
    for number in range(len(found)):
        batch = found.collate_fn([found[number]])
        rows.append(tuple(batch[name][0].tolist() for name in ("tokens", "labels", "loss_mask")))
    return rows


def row_encoder(processor: Encoder, template: str = WHOLE, tokens: str = "aligner") -> RowEncoder:
    prompt = Prompt.model_validate({"tokens": tokens})
    return RowEncoder(processor, EncodeJob(prompt=prompt, chat_template=None, template=template, seq_length=4096))


@pytest.mark.parametrize("name", TEMPLATES)
def test_conversations_agree_token_by_token(name: str, model: Path, processor: Any, tmp_path: Path) -> None:
    marks: Marks = TEMPLATES[name]
    special = {
        "system_turn_start": marks.system,
        "turn_start": marks.turn,
        "label_start": marks.label,
        "end_of_turn": marks.end,
        "end_of_name": marks.end,
    }
    theirs = nemo_batch("chat", write(tmp_path / "rows.jsonl", CONVERSATIONS), model, special_tokens=special)
    encoder = row_encoder(processor, tokens=name)
    assert len(theirs) == len(CONVERSATIONS)
    for row, (tokens, labels, mask) in zip(CONVERSATIONS, theirs, strict=True):
        ids, ours, cut = encoder.encode(row)
        # after a last turn of the user NeMo pads by one
        size, pads = len(ids) - 1, len(tokens) - len(ids) + 1
        assert (ids[:-1], ids[1:], ours[1:], cut) == (tokens[:size], labels[:size], mask[:size], False)
        assert pads <= (row["conversations"][-1]["from"] == "User") and sum(mask[size:]) == 0


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_stored_template_is_that_of_aligner(name: str) -> None:
    from nemo.collections.nlp.data.language_modeling.megatron.gpt_sft_chat_dataset import get_prompt_template_example

    marks = TEMPLATES[name]
    special = {
        "system_turn_start": marks.system,
        "turn_start": marks.turn,
        "label_start": marks.label,
        "end_of_turn": "\n",
        "end_of_name": "\n",
    }
    assert marks.template == get_prompt_template_example(special)


def questions() -> list[dict[str, Any]]:
    draw = Random(7)
    return [{"input": words(draw).strip(), "output": words(draw, 1, 6).strip()} for _ in range(ROWS)]


def test_prompts_agree_token_by_token(model: Path, processor: Any, tmp_path: Path) -> None:
    rows = questions()
    path = write(tmp_path / "rows.jsonl", rows)
    options = {
        "add_bos": True,
        "add_eos": True,
        "prompt_template": WHOLE,
        "label_key": "output",
        "answer_only_loss": True,
    }
    theirs = nemo_batch("prompt", path, model, truncation_field="input", **options)
    for row, (tokens, labels, mask) in zip(rows, theirs, strict=True):
        ids, ours, _ = row_encoder(processor, WHOLE).encode(row)
        assert (ids[:-1], ids[1:], ours[1:]) == (tokens, labels, mask)
    # a template with words: NeMo encodes each part separately, with a blank before it (F14); answers are the same
    template = "{input}\n### Answer: {output}"
    theirs = nemo_batch("prompt", path, model, truncation_field="input", **{**options, "prompt_template": template})
    blank = next(index for index in range(processor.size) if processor.id_to_piece(index) == "▁")
    for row, (tokens, labels, mask) in zip(rows, theirs, strict=True):
        ids, ours, _ = row_encoder(processor, template).encode(row)
        answers = [
            [label for label, counts in zip(*each, strict=True) if counts]
            for each in ((labels, mask), (ids[1:], ours[1:]))
        ]
        assert answers[0] == answers[1]
        start, our_start = mask.index(1) + 1, ours.index(1)
        prompt = processor.encode(row["input"])
        marker = processor.encode("\n### Answer:")
        assert tokens[:start] == [1, *prompt, *marker] and marker[0] == blank
        assert ids[:our_start] == [1, *processor.encode(row["input"] + "\n### Answer: ")]
