"""Rows of every shape with odd texts, a small tokenizer, and exports of their prompts."""

import json
from pathlib import Path
from typing import Any

from tapeout.config.export import Attribution, CardFacts, ExportJob, Stage
from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.data.encode.encoded_set import encode_set
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings, write_tokenizer
from tapeout.deploy.token_ids import check_prompts, read_sets
from tapeout.encoder.load import load_encoder
from tapeout.models import llama
from tapeout.models.tokenizer_file import tokenizer_path
from tests.small_tokenizer import train

RUNS = ["a  b   c    d        e", "aba ababab abba", "=-=-= ==== ---- 0000", "\tassign q = d;", "What is a mux?"]
MODEL = train(RUNS * 30, 420, hard_vocab_limit=False)
ODD = [
    "  two blanks",
    "\n\nlines\n",
    "a    b",
    "tab\tend ",
    "",
    "é 漢 😀 ▁x",
    "\x7f\u2028",
    "{{ x }} {% y %} 'q' \"r\" \\n",
]
TEMPLATE = 'Q😀"\\ {input}\n### Answer: {output}'
CHATML = (
    "{% for message in messages %}\n  {% if true %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>{% endif %}\n\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROLLED = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{{ message['content'] }}"
    "{{ eos_token }}{% else %}[{{ message['role'] }}] {{ message['content'] }} [/]{% endif %}{% endfor %}"
)
PROMPTS = {
    "aligner": ("aligner", None),
    "extra_id": ("extra_id", None),
    "chatml": ("template", CHATML),
    "controlled": ("template", CONTROLLED),
}
SYSTEM = "Be brief."
SOURCE = Attribution(origin="package example 1.0", licence="Apache-2.0")
STAGE = Stage(max_steps=3, global_batch_size=2, seq_length=64)
CARD = CardFacts(new_pieces=0, model="sft/model", stages={"dapt": STAGE, "sft": STAGE})


def export_job(name: str, systems: tuple[str, ...] = (SYSTEM,)) -> ExportJob:
    tokens, source = PROMPTS[name]
    prompt = Prompt.model_validate({"tokens": tokens, "chat_template": source and "x.jinja"})
    encoding = EncodeJob(prompt=prompt, chat_template=source, template=TEMPLATE, seq_length=400)
    return ExportJob(encoding=encoding, systems=systems, tokenizer=SOURCE, trained_on={"example": SOURCE}, card=CARD)


def questions() -> list[dict[str, Any]]:
    return [{"input": text, "output": "yes"} for text in [*ODD, "fifo<s>old</s>new"]]


def conversations() -> list[dict[str, Any]]:
    """Return conversations of one to three answers, one not trained on, some labelled, with two system messages."""
    rows = []
    for number, text in enumerate(ODD[:4] + ODD[5:]):
        label = {"label": "quality:4"} if number % 3 == 0 else {}
        turns = [
            {"from": ("User", "Assistant")[place % 2], "value": f"{text}{place}"} for place in range(2 + number % 5)
        ]
        turns = [{**turn, **(label if turn["from"] == "Assistant" else {})} for turn in turns]
        if number == 3:
            turns[1]["train"] = False
        system = (SYSTEM, "  A reviewer\nof RTL. ")[number % 2]
        kind = "VALUE_TO_TEXT" if label else None
        rows.append({"conversations": turns, "system": system, "mask": "User", "type": kind})
    return rows


def answers(rows: list[dict[str, Any]]) -> int:
    """Return the number of answers that are trained on in the held-out rows of ``make_set``."""
    turns = [turn for row in rows[1:] + rows[:2] for turn in row["conversations"]]
    return sum(turn["from"] == "Assistant" and turn.get("train", True) for turn in turns)


def paragraphs() -> list[dict[str, Any]]:
    """Return whole prompts; the second has a context that is longer than the model's sequences."""
    texts = [f"Context: {'word ' * count}end. Question: where?" for count in (3, 300)]
    return [{"input": text, "output": "end", "context": [9, text.index("end")], "answer": None} for text in texts]


def make_set(folder: Path, name: str, rows: list[dict[str, Any]], job: ExportJob) -> tuple[Path, Path]:
    """Write a set and encode it with the function of the rule ``encoded``."""
    instructions, encoded = folder / "instructions" / name, folder / "encoded" / name
    instructions.mkdir(parents=True)
    encoded.parent.mkdir(exist_ok=True)
    complete = [{**row, "digest": f"{number:064x}", "category": "c"} for number, row in enumerate(rows)]
    for split, part in (("train", complete[:1]), ("validation", complete[1:]), ("test", complete[:2])):
        (instructions / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    encode_set(instructions, tokenizer_path(folder), job.encoding, encoded)
    return instructions, encoded


def export(folder: Path, job: ExportJob, *sets: tuple[Path, Path]) -> tuple[Path, dict[str, int], dict[str, Any]]:
    """Write the files of the tokenizer; return them, the counts of the check and the generation's settings."""
    output, encoder = folder / "export", load_encoder(folder)
    output.mkdir(exist_ok=True)
    shapes, rows = read_sets(sets)
    ends = ends_of_answers(encoder, job, shapes)
    write_tokenizer(tokenizer_path(folder), output, llama, job, shapes, 400)
    return output, check_prompts(output, rows, ends, job.encoding), stop_settings(ends, encoder.eos)
