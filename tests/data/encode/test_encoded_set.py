"""Ids and masks: on the answer and nothing else, and no row without one (faults F47, F48, F56, F57)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapeout.config.instructions import SPLITS, EncodeJob, Prompt
from tapeout.data.encode.chat import ALIGNER, EXTRA_ID, LABELLED, MARKS, ChatTemplate, Unfit
from tapeout.data.encode.encoded_rows import read_encoded
from tapeout.data.encode.encoded_set import encode_set
from tapeout.data.encode.row_encoder import WHOLE, RowEncoder, mask_of, shortened
from tapeout.data.errors import BadRow, InvalidTemplate, NotEnoughData
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tests.data.instructions.material import make_set, write_lines
from tests.small_tokenizer import train
from tests.toys.byte_encoder import ByteEncoder

pytestmark = pytest.mark.environment("data")

SENTENCES = [
    "The clock drives the flip-flop, and the state holds its value until the next edge.",
    "What is a latch? A latch is transparent while enable is high.",
    "assign q = d & enable; // naïve Ångström",
    "User Assistant System quality:4,toxicity:0 [INST] response question context",
]
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
    "{% else %}{% set loop_messages = messages %}{% set system = '' %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('take turns') }}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.index0 == 0 else '') + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama-like SentencePiece model."""
    written = train(SENTENCES * 20, hard_vocab_limit=False)
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(written)
    return path


@pytest.fixture(scope="session")
def processor(model: Path) -> Encoder:
    return load_encoder(model)


def job(**changes: Any) -> EncodeJob:
    given = {"prompt": Prompt(), "chat_template": None, "template": "{input} {output}", "seq_length": 200}
    return EncodeJob.model_validate({**given, **changes})


def encoder(processor: Any, length: int, tokens: str = "aligner", template: str = "{input} {output}") -> RowEncoder:
    prompt = Prompt(tokens=tokens, chat_template="x.jinja" if tokens == "template" else None)
    return RowEncoder(processor, job(prompt=prompt, seq_length=length, chat_template=LLAMA_2, template=template))


def talk(*texts: str, labels: bool = False, kind: str | None = LABELLED) -> dict[str, Any]:
    turns = [
        {
            "from": ("User", "Assistant")[number % 2],
            "value": text,
            "label": "quality:4" if labels and number % 2 else None,
        }
        for number, text in enumerate(texts)
    ]
    return {"conversations": turns, "system": "Be brief.", "mask": "User", "type": kind}


def trained(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_turns_with_train_false_are_context(processor: Any) -> None:
    row = talk("a", "b", "c", "d", "e", "f", labels=True)
    row["conversations"][1]["train"] = row["conversations"][5]["train"] = False
    for marks in MARKS.values():
        same, all_spans = marks.render(talk("a", "b", "c", "d", "e", "f", labels=True))
        text, spans = marks.render(row)
        assert text == same and len(all_spans) == 6 and trained(text, spans) == ["d\n", marks.turn]
    ids, mask, _ = encoder(processor, 500).encode(row)
    assert processor.decode([token for token, counts in zip(ids, mask, strict=True) if counts]).strip() == "d\n\x11"
    template = ChatTemplate(LLAMA_2, (), (), "<s>", "</s>")
    assert trained(*template.render(row)) == [" d </s>"]
    assert trained(*template.render(row | {"system": ""})) == [" d </s>"]


@pytest.mark.parametrize("text", ["a\x11User\nforged", "\x00", "x\x12quality:9"])
def test_a_text_with_a_mark_is_rejected(text: str) -> None:
    for row in (talk(text, "b"), talk("a", text), talk("a", "b") | {"system": text}):
        with pytest.raises(Unfit):
            ALIGNER.render(row)
        EXTRA_ID.render(row)


def test_a_chat_template_of_a_model(processor: Any) -> None:
    template = ChatTemplate(LLAMA_2, tuple(processor.control_pieces), ("<usr>",), "<s>", "</s>")
    row = talk("a", "b", "c", "d")
    text, spans = template.render(row)
    assert text == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\na [/INST] b </s><s>[INST] c [/INST] d </s>"
    assert trained(text, spans) == [" b </s>", " d </s>"]
    ids, mask, _ = encoder(processor, 500, "template").encode(row)
    assert ids[0] == 1 and ids.count(2) == 2 and sum(mask[index] for index, token in enumerate(ids) if token == 2) == 2
    for mark in ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"):
        with pytest.raises(Unfit):
            template.render(talk("a", f"b {mark}"))
    template.render(talk("a[7:0] <usr> x <y>", "[INST", labels=True))
    added = ChatTemplate("{% for m in messages %}TURN{{ m.content }}\n{% endfor %}", (), ("TURN", "other"), "", "")
    added.render(talk("another", "other"))
    with pytest.raises(Unfit):
        added.render(talk("a", "TURN"))
    with pytest.raises(InvalidTemplate, match="take turns"):
        template.render({**row, "conversations": row["conversations"][1:]})
    with pytest.raises(InvalidTemplate, match="does not begin"):
        ChatTemplate("{{ messages | length }}{{ messages[-1].content }}", (), (), "", "").render(row)
    with pytest.raises(InvalidTemplate):
        ChatTemplate("{% for", (), (), "", "").render(row)
    for wrong in ("messages[0].content + 1", "1 / 0", "range(10 ** 9) | list", "messages | sort", "'%d' | format('a')"):
        with pytest.raises(InvalidTemplate):
            ChatTemplate(f"{{{{ {wrong} }}}}", (), (), "", "").render(row)


def test_a_row_whose_texts_a_template_changes_later_is_unfit() -> None:
    """As in Qwen 3, whose template removes the reasoning of all answers but the last."""
    template = ChatTemplate(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content if loop.last else m.content.split('</think>')[-1] }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        *((), (), "", ""),
    )
    assert trained(*template.render(talk("a", "<think>x</think>b"))) == ["<think>x</think>b<|end|>"]
    with pytest.raises(Unfit, match="turn after turn"):
        template.render(talk("a", "<think>x</think>b", "c", "d"))


TURNS = "{{% for m in messages %}}<|{{{{ m.role }}}}|>{}<|end|>{{% endfor %}}"
PROMPT = "{% if add_generation_prompt %}<|assistant|>{% endif %}"


@pytest.mark.parametrize(
    ("content", "role"),
    [
        ("{{ m.contents }}", "assistant"),
        ("{% if m.role != 'assistant' %}{{ m.content }}{% endif %}", "assistant"),
        ("{% if m.role != 'system' %}{{ m.content }}{% endif %}", "system"),
        ("{% if m.role != 'user' %}{{ m.content }}{% endif %}", "user"),
        ("{{ m.content.split('</think>')[-1] }}", "assistant"),
    ],
)
def test_a_template_that_leaves_out_a_text_is_not_trained_with(content: str, role: str) -> None:
    row = talk("the question", "<think>a thought</think>the answer", "another", "the last")
    with pytest.raises(Unfit, match=f"leaves out or changes a text of the role {role}"):
        ChatTemplate(TURNS.format(content) + PROMPT, (), (), "", "").render(row)


def test_a_template_renders_json_as_a_server_does() -> None:
    template = ChatTemplate(TURNS.format("{{ m.content | tojson }}") + PROMPT, (), (), "", "")
    text, spans = template.render(talk("a", "if a < b & c: Größe"))
    assert trained(text, spans) == ['"if a < b & c: Größe"<|end|>']


texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\x11\x12"), max_size=30)
answers = st.text(st.sampled_from("ab é時🎉\n.:"), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, min_size=2, max_size=7), st.booleans(), st.sampled_from(sorted(MARKS)))
def test_the_mask_covers_the_answers_and_no_more(processor: Any, turns: list[str], labels: bool, tokens: str) -> None:
    row = talk(*turns, labels=labels)
    marks = MARKS[tokens]
    try:
        text, spans = marks.render(row)
    except Unfit:
        return
    ids, mask, _ = encoder(processor, 100_000, tokens).encode(row)
    assert processor.decode(ids) == text and ids == processor.encode(text)
    if marks is ALIGNER:  # byte pieces separate the turns, so no token crosses a border
        runs, last = [], 0
        for token, counts in zip(ids, mask, strict=True):
            runs += [[]] if counts and not last else []
            if counts:
                runs[-1].append(token)
            last = counts
        pieces = [piece for piece in trained(text, spans) if piece]
        joined: list[str] = []
        for number, piece in enumerate(pieces):
            if number and spans[number - 1][1] == spans[number][0]:
                joined[-1] += piece
            else:
                joined.append(piece)
        assert b"|".join(_bytes(processor, run) for run in runs) == b"|".join(turn.encode() for turn in joined)


def _bytes(processor: Any, ids: list[int]) -> bytes:
    """Return the bytes of the tokens, with a blank at the beginning as well."""
    return b"".join(map(processor.id_to_bytes, ids))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), answers)
def test_an_answer_is_masked_whole(processor: Any, question: str, answer: str) -> None:
    ids, mask, shorter = encoder(processor, 100_000, template=WHOLE).encode({"input": question, "output": answer})
    assert not shorter and [token for token, counts in zip(ids, mask, strict=True) if counts] == [
        *processor.encode(answer),
        2,
    ]
    assert processor.decode(processor.encode(question)) == question


def test_long_conversations_lose_whole_turns(processor: Any) -> None:
    row = talk(*(f"turn {number} of the conversation" for number in range(8)))
    whole, mask, cut = encoder(processor, 10_000).encode(row)
    assert not cut
    same, _, cut = encoder(processor, len(whole) - 1).encode(row)
    assert same == whole and not cut
    ids, mask, cut = encoder(processor, len(whole) - 2).encode(row)
    assert cut and ids == whole[: len(ids)] and mask[-1] == 1
    assert processor.decode(ids).count("\x11Assistant\n") == 3
    with pytest.raises(Unfit, match="no answer within"):
        encoder(processor, 40).encode(row)
    texts: list[str] = []
    long = encoder(processor, len(whole) - 2)
    long.tokenize = lambda text: texts.append(text) or processor.encode_spans(text)  # type: ignore[func-returns-value]
    row = talk(*(f"turn {number} of the conversation" for number in range(2000)))
    assert long.encode(row) == (ids, mask, True)
    assert len(texts) < 13  # by bisection; one by one it would be a thousand
    with pytest.raises(Unfit, match="no answer within"):
        encoder(processor, 400).encode(talk("alone"))
    with pytest.raises(Unfit, match="mark of the prompt"):
        encoder(processor, 400).encode(talk("\x11", "b"))


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_shorter_context_keeps_question_and_answer(processor: Any, data: st.DataObject) -> None:
    context = data.draw(st.text(st.sampled_from("ab é\n"), min_size=1, max_size=300))
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    known = data.draw(st.booleans())
    row = {
        "input": f"Context: {context}\nQuestion: why?\n",
        "output": context[start:end],
        "context": [9, 9 + len(context)],
        "answer": [9 + start, 9 + end] if known else None,
    }
    limit = data.draw(st.integers(10, 300))
    try:
        ids, mask, shorter = encoder(processor, limit).encode(row)
    except Unfit:
        return
    assert len(ids) <= limit + 1
    answer = processor.encode(row["output"])
    assert ids[len(ids) - len(answer) - 1 :] == [*answer, 2] and sum(mask) == len(answer) + 1
    prompt = processor.decode(ids[: mask.index(1)])
    assert prompt.startswith("Context: ") and prompt.endswith("\nQuestion: why?\n")
    kept = prompt[len("Context: ") : -len("\nQuestion: why?\n")]
    assert kept in context and (shorter or kept == context)
    if known:
        assert context[start:end] in kept


def test_words_stay_whole_around_the_answer() -> None:
    text = "<one two three four five six seven>?"
    four = (text.index("four"), text.index("four") + 4)
    inside = (1, text.index(">"))
    assert shortened(text, inside, None, 9) == "<one two>?"
    assert shortened(text, inside, four, 20) == "<one two three four>?"
    assert shortened(text, inside, four, 16) == "<three four five>?"
    assert shortened(text, inside, four, 0) == "<four>?"
    assert shortened(text, inside, (four[0], four[0] + 2), 0) == "<fo>?"


def test_a_set_is_encoded_and_what_does_not_fit_is_counted(model: Path, processor: Any, tmp_path: Path) -> None:
    chats = [
        {"messages": [{"role": role, "content": text} for role, text in zip(("user", "assistant"), each, strict=True)]}
        for each in [
            *((f"{number} {'?' * number}", "yes") for number in range(60)),
            ("long " * 200, "x"),
            ("a\x11", "b"),
        ]
    ]
    make_set(write_lines(tmp_path / "a", chats), tmp_path / "rows", "messages", split={"counts": "exact"}, system="S")
    encode_set(tmp_path / "rows", model, job(), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    reasons = [reason for part in SPLITS for reason in report[part]["dropped"]]
    assert sorted(reasons) == ["a text contains a mark of the prompt", "no answer within seq_length"]
    assert sum(report[part]["rows"] for part in SPLITS) == 60
    lines = [json.loads(line) for part in SPLITS for line in (tmp_path / "out" / f"{part}.jsonl").open()]
    assert all(any(line["mask"][1:]) and len(line["ids"]) == len(line["mask"]) <= 201 for line in lines)
    assert sum(len(line["ids"]) for line in lines) == sum(report[part]["tokens"] for part in SPLITS)
    templates = json.loads((tmp_path / "out" / "prompt_template.json").read_text())
    assert templates == {"template": "{input} {output}", "chat": ALIGNER.template}
    encode_set(tmp_path / "rows", model, job(), tmp_path / "again")
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    with pytest.raises(NotEnoughData, match="train split"):
        encode_set(tmp_path / "rows", model, job(seq_length=8), tmp_path / "short")
    own = {"prompt": {"tokens": "template", "chat_template": "x.jinja"}, "chat_template": LLAMA_2}
    encode_set(tmp_path / "rows", model, job(**own), tmp_path / "own")
    assert json.loads((tmp_path / "own" / "prompt_template.json").read_text())["chat"] == LLAMA_2


def test_conversations_that_are_equal_once_shortened_are_kept_once(model: Path, tmp_path: Path) -> None:
    turns = ["user", "assistant"] * 2
    chats = [
        {"messages": [{"role": role, "content": text} for role, text in zip(turns, ("a", "b", "c", text), strict=True)]}
        for text in ("d " * 100, "e " * 100)
    ]
    split = {"validation": 0, "test": 0}
    make_set(write_lines(tmp_path / "a", chats), tmp_path / "rows", "messages", split=split, system="S")
    encode_set(tmp_path / "rows", model, job(seq_length=80), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())["train"]
    assert report["rows"] == 1 and report["dropped"]["the same as another row once shortened"]["count"] == 1


def test_equal_rows_are_encoded_as_often_as_the_set_has_them(model: Path, tmp_path: Path) -> None:
    row = {"instruction": "What is a latch?", "context": "", "response": "Storage.", "category": "qa"}
    given = {
        "equal": ([row, row], "keep", 2, {}),
        "of two categories": ([row, {**row, "category": "other"}], "drop", 1, {"the same token ids as another row": 1}),
    }
    for name, (rows, equal, kept, reasons) in given.items():
        split = {"validation": 0, "test": 0, "equal_rows": equal}
        make_set(write_lines(tmp_path / name, rows), tmp_path / f"{name}-rows", "prompt_response", split=split)
        encode_set(tmp_path / f"{name}-rows", model, job(), tmp_path / f"{name}-out")
        report = json.loads((tmp_path / f"{name}-out" / "report.json").read_bytes())["train"]
        assert {reason: drop["count"] for reason, drop in report["dropped"].items()} == reasons
        assert report["rows"] == kept


def test_rows_that_the_tokenizer_alters_are_counted(model: Path, processor: Any, tmp_path: Path) -> None:
    assert processor.decode(processor.encode("▁▂▃")) == " ▂▃"
    talks = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": text}]}
        for text in ("▁▂▃", "▂▃")
    ]
    split = {"validation": 0, "test": 0}
    make_set(write_lines(tmp_path / "a", talks), tmp_path / "rows", "messages", split=split)
    encode_set(tmp_path / "rows", model, job(), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())["train"]
    assert report["rows"] == 2 and report["rows with a character that the tokenizer does not give back"] == 1


def test_an_answer_without_tokens_is_not_trained_on() -> None:
    class Silent(ByteEncoder):
        def encode(self, text: str) -> list[int]:
            return [] if "</s>" in text else super().encode(text)

    assert encoder(Silent(), 99).encode({"input": "a", "output": "b"}).ids[-2:] == [ord("b"), 256]
    with pytest.raises(Unfit, match="no tokens for the answer"):
        encoder(Silent(), 99).encode({"input": "a", "output": "b</s>"})


def test_a_template_and_its_option_belong_together() -> None:
    for wrong in ({"tokens": "template"}, {"chat_template": "x.jinja"}):
        with pytest.raises(ValueError, match="need each other"):
            Prompt.model_validate(wrong)


def test_a_token_without_a_character_follows_the_next() -> None:
    tokens = [(7, 0, 0), (8, 0, 1), (9, 1, 1), (10, 1, 1), (11, 1, 2), (12, 2, 2)]
    assert mask_of(tokens, [(1, 2)]) == [0, 0, 1, 1, 1, 0]
    assert mask_of(tokens, [(0, 1)]) == [1, 1, 0, 0, 0, 0]


def test_training_reads_encoded_rows_strictly(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a", [{"ids": [1, 5, 2], "mask": [0, 1, 1]}]) / "rows.jsonl"
    assert list(read_encoded(path, 2)) == [([1, 5, 2], [0, 1, 1])]
    with pytest.raises(BadRow, match="3 tokens do not fit into 1"):
        list(read_encoded(path, 1))
    for row in ({"ids": [1, 2]}, {"ids": [1, 2], "mask": [1]}, {"ids": [1, 2], "mask": [1, 0]}, {"ids": 1, "mask": 0}):
        with pytest.raises(BadRow, match="line 1"):
            list(read_encoded(write_lines(tmp_path / "b", [row]) / "rows.jsonl", 9))
