"""An exported folder gives the token ids of the training for every prompt that the model was trained on.

Fault 14: 480 of 480 prompts had other ids, a model tuned on conversations had the template of single questions, and
system messages vanished.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateError, nodes
from transformers import AutoTokenizer, LlamaTokenizer

from tapeout.data.encode.chat import Unfit
from tapeout.data.encode.row_encoder import RowEncoder
from tapeout.deploy.served_tokenizer import template_of
from tapeout.deploy.token_ids import check_texts
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.load import load_encoder
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.models.chat_template import guarded_template
from tapeout.nemo.convert import ConversionMismatch
from tests.byte_level_material import write_tokenizer as write_byte_level
from tests.deploy.material import (
    CHATML,
    MODEL,
    ODD,
    PROMPTS,
    RUNS,
    SYSTEM,
    TEMPLATE,
    answers,
    conversations,
    export,
    export_job,
    make_set,
    paragraphs,
    questions,
)

pytestmark = pytest.mark.environment("nemo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    return tmp_path


@pytest.fixture(scope="module")
def fast() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(fast_tokenizer(MODEL))


ENCODER = SentencePieceEncoder(MODEL)
UNITS = st.sampled_from(
    [" ", "  ", "a", "ab", "aba", "=", "-", "=-", "0", "\n", "\t", "é", "漢", "▁", "<0x0A>", "</s", "\0"]
)


@given(st.one_of(st.lists(UNITS, max_size=40).map("".join), st.text(st.characters(exclude_categories=["Cs"]))))
def test_tokenizer_json_encodes_as_sentencepiece(fast: Any, text: str) -> None:
    assert fast.encode(text, add_special_tokens=False).ids == ENCODER.encode(text)
    assert fast.decode(ENCODER.encode(text)) == ENCODER.decode(ENCODER.encode(text))


def test_questions_are_served_as_they_were_trained(folder: Path) -> None:
    job = export_job("aligner")
    output, counts, generation = export(folder, job, make_set(folder, "q", questions(), job))
    assert counts == {"prompts": len(ODD) + 1, "prompts_with_reserved_names": 1}
    assert generation == {"eos_token_id": ENCODER.eos}
    tokenizers = [AutoTokenizer.from_pretrained(output, use_fast=fast) for fast in (True, False)]
    for tokenizer in (*tokenizers, LlamaTokenizer.from_pretrained(output)):
        for text in ODD:
            trained = [1, *ENCODER.encode(TEMPLATE.partition("{output}")[0].replace("{input}", text))]
            assert tokenizer.apply_chat_template([{"role": "user", "content": text}]) == trained
            assert tokenizer(text)["input_ids"] == [1, *ENCODER.encode(text)]


@pytest.mark.parametrize("name", PROMPTS)
def test_conversations_are_served_as_they_were_trained(folder: Path, name: str) -> None:
    job = export_job(name)
    rows = conversations()
    output, counts, generation = export(folder, job, make_set(folder, "chats", rows, job))
    assert counts == {"prompts": answers(rows), "prompts_with_reserved_names": 0}
    mark = ENCODER.encode("\x11")[-1]
    stops = {"extra_id": {"stop_strings": ["<extra_id_1>"]}, "chatml": {"stop_strings": ["<|im_end|>"]}}
    assert generation == {"eos_token_id": mark if name == "aligner" else ENCODER.eos, **stops.get(name, {})}
    user = [{"role": "user", "content": "Where?"}]
    tokenizer = AutoTokenizer.from_pretrained(output)
    ids = {
        system: tokenizer.apply_chat_template(
            [{"role": "system", "content": system}, *user], add_generation_prompt=True
        )
        for system in ("", SYSTEM, "Another.")
    }
    assert tokenizer.apply_chat_template(user, add_generation_prompt=True) == ids[SYSTEM] == ids[""] != ids["Another."]
    slow = LlamaTokenizer.from_pretrained(output)
    assert slow.apply_chat_template(user, add_generation_prompt=True) == ids[SYSTEM]


@pytest.mark.parametrize("kind", ["llama3", "smollm2"])
@pytest.mark.parametrize("name", PROMPTS)
def test_a_byte_level_tokenizer_serves_as_it_was_trained(tmp_path: Path, kind: str, name: str) -> None:
    """The marks of conversations are control pieces of the first, which has a bos, and text to the other."""
    write_byte_level(tmp_path, kind, lines=RUNS)
    job, rows = export_job(name), conversations()
    sets = [make_set(tmp_path, "chats", rows, job), make_set(tmp_path, "q", questions(), job)]
    output, counts, generation = export(tmp_path, job, *sets)
    encoder = load_encoder(tmp_path)
    unfit = 1 if kind == "llama3" else 0
    assert counts == {"prompts": answers(rows) + len(ODD) + 2 - unfit, "prompts_with_reserved_names": unfit}
    mark = {"aligner": "\x11", "extra_id": "<extra_id_1>"}.get(name, "")
    if kind == "llama3" and mark:
        assert generation == {"eos_token_id": sorted([encoder.eos, encoder.control_pieces[mark]])}
    served = AutoTokenizer.from_pretrained(output)
    for text in ODD:
        assert served(text).input_ids == encoder.bos_ids + encoder.encode(text)
    assert sorted(path.name for path in output.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]


@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
@pytest.mark.parametrize("name", ["aligner", "extra_id"])
def test_a_prompt_with_other_ids_before_its_answer_is_not_trained_on(tmp_path: Path, kind: str, name: str) -> None:
    """GPT-2 has tokens of a line feed and blanks: a block of code then begins with the end of its prompt."""
    encoder = load_encoder(write_byte_level(tmp_path, kind, lines=["a\n    b\n        c\n" * 9, *RUNS]))
    row_encoder = RowEncoder(encoder, export_job(name).encoding)
    unfit = 0
    for answer in ("a = 1", "    a = 1\n    b = 2", "\u3000", "\ta\n\tb", "- a\n- b"):
        turns = [("User", "q"), ("Assistant", "A."), ("User", "q"), ("Assistant", answer)]
        row = {"conversations": [{"from": who, "value": text} for who, text in turns], "system": "", "mask": "User"}
        text, marks = row_encoder.render(row)[0], row_encoder.marks
        before = encoder.encode_rendered(text[: text.rindex(answer)], (marks.system, marks.turn, marks.label))
        prompt = [token for token, _, _ in before]
        try:
            assert row_encoder.encode(row).ids[: len(prompt)] == prompt
        except Unfit as error:
            assert str(error) == "the token ids of a prompt depend on its answer"
            unfit += 1
    assert unfit == (1 if kind == "gpt2" else 0)


def test_a_model_of_several_kinds_of_rows_has_a_template_for_each(folder: Path) -> None:
    job = export_job("aligner", systems=())
    sets = [
        make_set(folder, name, rows, job)
        for name, rows in (("p", paragraphs()), ("q", questions()[:3]), ("chats", conversations()))
    ]
    output, counts, generation = export(folder, job, *sets)
    assert counts["prompts"] == 3 + 4 + answers(conversations())
    assert generation == {"eos_token_id": sorted([ENCODER.eos, ENCODER.encode("\x11")[-1]])}
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert list(tokenizer.chat_template) == ["default", "conversation", "question", "prompt"]
    with pytest.raises(TemplateError, match="Give a system message"):
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}])


USER, ANSWER = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
TOOL = {"role": "tool", "content": "z"}


@pytest.mark.parametrize("name", ["question", "aligner", "controlled"])
def test_what_was_not_trained_is_refused(folder: Path, name: str) -> None:
    rows = questions()[:2] if name == "question" else conversations()[:2]
    job = export_job("aligner" if name == "question" else name)
    tokenizer = AutoTokenizer.from_pretrained(export(folder, job, make_set(folder, "s", rows, job))[0])
    text = "content"
    bad: list[Any] = [[TOOL], [USER, TOOL], [USER, USER], [ANSWER], [USER, ANSWER]]
    bad += [[{**USER, text: f"a{reserved}b"}] for reserved in ("</s>", "<s>", "<unk>")]
    bad += [[{**USER, text: [{"type": "text", "text": "x"}]}], [{**USER, text: None}]]
    bad += [[{"role": "system", text: "s"}, USER]] if name == "question" else [[USER, {"role": "system", text: "s"}]]
    bad += [[{**USER, text: "\x11"}]] if name == "aligner" else []
    for messages in bad:
        with pytest.raises(TemplateError):
            tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    with pytest.raises(TemplateError, match="without tools"):
        tokenizer.apply_chat_template([USER], tools=[{"type": "function", "function": {"name": "f"}}])


def test_other_ids_are_a_named_error(folder: Path) -> None:
    job = export_job("aligner")
    rows, encoded = make_set(folder, "q", questions(), job)
    output, _, _ = export(folder, job, (rows, encoded))
    text = folder / "domain" / "test.jsonl"
    text.parent.mkdir()
    text.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*ODD, "<s>x</s>"]))
    assert check_texts(output, [text]) == {"texts": len(ODD), "texts_with_reserved_names": 1}
    lines = (encoded / "validation.jsonl").read_text().splitlines()
    row = json.loads(lines[2])
    changed = json.dumps({**row, "ids": [1, *row["ids"][2:], 2]})
    (encoded / "validation.jsonl").write_text("\n".join([*lines[:2], changed]))
    with pytest.raises(ConversionMismatch, match=r"encode encoded/q/validation\.jsonl:3 differently .* as token 1"):
        export(folder, job, (rows, encoded))
    tokenizer = json.loads((output / "tokenizer.json").read_text())
    tokenizer["normalizer"]["normalizers"].pop(0)  # no word mark before the first word
    (output / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ConversionMismatch, match=r"encode corpus/domain/test\.jsonl:1 differently"):
        check_texts(output, [text])


@pytest.mark.parametrize("kind", [*PROMPTS, "guarded"])
def test_no_template_loops_over_the_content_of_a_message(kind: str) -> None:
    """VLLM takes such a template for one of content parts, and gives it a list in place of each text."""
    source = (
        guarded_template(CHATML, ["</s>"])
        if kind == "guarded"
        else template_of("conversation", ENCODER, export_job(kind))
    )
    for loop in Environment().parse(source).find_all(nodes.For):
        assert "content" not in [constant.value for constant in loop.iter.find_all(nodes.Const)]
        assert "content" not in [attribute.attr for attribute in loop.iter.find_all(nodes.Getattr)]
