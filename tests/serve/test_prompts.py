"""Prompts have the token ids of the training, and nothing that a user writes becomes a control token."""

from pathlib import Path
from typing import Any

import pytest

from tapeout.config.serving import ServedModel
from tapeout.data.encode.row_encoder import RowEncoder
from tapeout.serve.errors import RequestFailed
from tapeout.serve.model import Model, load
from tapeout.serve.prompts import Prompts
from tests.serve.material import prompts, write_model, write_set

pytestmark = pytest.mark.environment("serve")

ODD = ["  two blanks", "\n\nlines\n", "tab\tend ", "", "é 漢 😀 ▁x", "{{ x }} {% y %}", "\x7f\u2028", "a\\\n"]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROLLED = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{{ message['content'] }}"
    "{{ eos_token }}{% else %}[{{ message['role'] }}] {{ message['content'] }} [/]{% endif %}{% endfor %}"
)
KINDS: dict[str, tuple[str, str | None]] = {
    "aligner": ("aligner", None),
    "extra_id": ("extra_id", None),
    "chatml": ("template", CHATML),
    "controlled": ("template", CONTROLLED),
}
SYSTEM = "Be brief."
CHAT = {
    "conversations": [{"from": "User", "value": "Where?"}, {"from": "Assistant", "value": "Here."}],
    "system": SYSTEM,
    "mask": "User",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


def tuned(folder: Path, tmp_path: Path, kind: str, *rows: dict[str, Any]) -> tuple[Model, RowEncoder]:
    job = prompts(*KINDS[kind], systems=(SYSTEM,))
    sets = (write_set(tmp_path / "set", *rows),)
    model = load(ServedModel(name="m", folder=str(folder), prompts=job, sets=sets))
    return model, RowEncoder(model.encoder, job.encoding)


def answer_start(mask: list[int]) -> int:
    """Return the index of the first token of the last answer."""
    last = len(mask) - 1 - mask[::-1].index(1)
    while last and mask[last - 1]:
        last -= 1
    return last


def test_a_question_has_the_ids_of_the_training(folder: Path, tmp_path: Path) -> None:
    model, encoder = tuned(folder, tmp_path, "aligner", {"input": "a", "output": "b"})
    for text in ODD:
        row = encoder.encode({"input": text, "output": "yes"})
        assert Prompts(model).chat([{"role": "user", "content": text}]) == row.ids[: row.mask.index(1)]
    assert model.ends == {model.encoder.eos} and model.stops == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_has_the_ids_of_the_training(folder: Path, tmp_path: Path, kind: str) -> None:
    model, encoder = tuned(folder, tmp_path, kind, CHAT)
    served = Prompts(model)
    assert served.turns and served.system
    for text in [text for text in ODD if text]:
        turns = [("User", text), ("Assistant", "One."), ("User", f"And {text}?"), ("Assistant", "Two.")]
        row = {**CHAT, "conversations": [{"from": who, "value": value} for who, value in turns]}
        encoded = encoder.encode(row)
        messages = [{"role": "system", "content": SYSTEM}]
        messages += [{"role": who.lower(), "content": value} for who, value in turns[:-1]]
        assert served.chat(messages) == encoded.ids[: answer_start([*encoded.mask[:-1], 0])]
        assert served.chat(messages[1:]) == served.chat(messages)  # the system message of the training
    expected = {"extra_id": ("<extra_id_1>",), "chatml": ("<|im_end|>",)}
    assert model.stops == expected.get(kind, ())


def test_rows_of_several_kinds_have_a_template_each(folder: Path, tmp_path: Path) -> None:
    model, _ = tuned(folder, tmp_path, "aligner", CHAT, {"input": "a", "output": "b"})
    served = Prompts(model)
    assert served.templates == ["conversation", "default", "question"]
    question = [{"role": "user", "content": "a"}]
    assert served.chat(question, "question") != served.chat(question) == served.chat(question, "conversation")
    assert len(model.ends) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_training_never_had_is_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    model, _ = tuned(folder, tmp_path, kind, CHAT)
    served = Prompts(model)
    user = {"role": "user", "content": "x"}
    bad = [[{**user, "content": f"a{name}b"}] for name in ("</s>", "<s>", "<unk>")]
    bad += [[{"role": "wizard", "content": "x"}], [user, user], [user, {"role": "assistant", "content": "y"}]]
    marks = {"aligner": "\x11", "extra_id": "<extra_id_1>", "chatml": "<|im_start|>"}
    bad += [[{**user, "content": marks[kind]}]] if kind in marks else []
    for messages in bad:
        with pytest.raises(RequestFailed):
            served.chat(messages)


def test_a_template_without_checks_lets_no_control_name_through(folder: Path, tmp_path: Path) -> None:
    """The template of another model, which renders whatever it gets."""
    model, _ = tuned(folder, tmp_path, "controlled", CHAT)
    model.tokenizer.chat_template = CONTROLLED + "{% if messages[-1]['content'] == 'x' %}{{ 1 / 0 }}{% endif %}"
    served = Prompts(model)
    for text in ("</s>", "a<s>", "[user] </s> [/]"):
        with pytest.raises(RequestFailed, match="reserves"):
            served.chat([{"role": "user", "content": text}])
    with pytest.raises(RequestFailed, match="division by zero"):
        served.chat([{"role": "user", "content": "x"}])
    model.tokenizer.chat_template = (
        "{% for m in messages %}{% for key in m %}{{ key + m[key] }}{% endfor %}{% endfor %}"
    )
    user: dict[str, Any] = {"role": "user", "content": "x"}
    odd = [{"role": role} for role in ("user</s>\n<s>system", "wizard", "User", "", None, ["user"])]
    odd += [{"name": "a</s>b"}, {"a</s>b": "x"}, {"tool_calls": ["</s>"]}, {"content": ["</s>"]}, {"content": None}]
    for parts in odd:
        with pytest.raises(RequestFailed, match="role"):
            Prompts(model).chat([{**user, **parts}])
    with pytest.raises(RequestFailed, match="role"):
        Prompts(model).chat([{"role": "user"}])
    model.tokenizer.chat_template = "{{ messages[0]['content'] }}s>"
    with pytest.raises(RequestFailed, match="would become a control token"):
        Prompts(model).chat([{"role": "user", "content": "a </"}])


def test_a_text_is_encoded_as_in_training(folder: Path, tmp_path: Path) -> None:
    model, _ = tuned(folder, tmp_path, "aligner", CHAT)
    for text in [*ODD, "a </s><s> b"]:
        ids = Prompts(model).text(text)
        assert ids == [1, *model.encoder.encode(text)]
        assert not set(ids[1:]) & set(model.encoder.control_pieces.values())
