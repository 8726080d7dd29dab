"""A field that changes what is learnt is honoured, or its row is refused or counted; it is never ignored."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.data.errors import BadRow
from tapeout.data.instructions.fields import fold, is_empty
from tests.data.instructions.material import contents, make_set, write_lines

pytestmark = pytest.mark.environment("data")

DEFAULT = "A chat between a curious user"
QUESTION = {
    "squad": {"title": "t", "context": "a b", "question": "q", "answers": {"text": ["a"], "answer_start": [0]}},
    "self_instruct": {"instruction": "i", "instances": [{"input": "", "output": "o"}]},
    "prompt_response": {"instruction": "i", "context": "", "response": "r", "category": "c"},
    "chat_trees": {
        "message_tree_id": "t",
        "tree_state": "ready_for_export",
        "prompt": {"text": "q", "role": "prompter", "replies": [{"text": "a", "role": "assistant", "replies": []}]},
    },
}


def talk(format: str, *flags: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a row of four turns in a format, with more fields for each turn and the row."""
    name, role, content = (
        ("messages", "role", "content") if format == "messages" else ("conversations", "from", "value")
    )
    turns = [{role: ("user", "assistant")[number % 2], content: "abcd"[number]} for number in range(4)]
    return {name: [{**turn, **more} for turn, more in zip(turns, [*flags, {}, {}, {}, {}], strict=False)], **fields}


def trained(row: dict[str, Any]) -> str:
    return "".join(
        turn["value"] for turn in row["conversations"] if turn["from"] == "Assistant" and turn.get("train") is None
    )


def read(tmp_path: Path, format: str, *rows: Any, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    return contents(write_lines(tmp_path / "rows", rows), format, **options)


@pytest.mark.parametrize("format", ["messages", "sharegpt"])
@pytest.mark.parametrize(
    ("own", "system"),
    [
        ("Answer in VHDL only.", "Answer in VHDL only."),
        (" x\r\n ", "x"),
        ("", DEFAULT),
        (None, DEFAULT),
        (" ", DEFAULT),
    ],
)
def test_a_system_message_of_the_row_is_used(tmp_path: Path, format: str, own: Any, system: str) -> None:
    (row,), counts = read(tmp_path, format, talk(format, system=own))
    assert row["system"].startswith(system)
    assert counts.read["conversations with a system message of their own"] == (system != DEFAULT)
    (other,), _ = read(tmp_path, format, talk(format, persona=own), system_field="persona")
    assert other["system"] == row["system"]
    (other,), counts = read(tmp_path, format, talk(format, system=own), ignored_fields=["system"])
    assert other["system"].startswith(DEFAULT) and counts.changed == {"ignored field 'system'": 1}


@pytest.mark.parametrize("format", ["messages", "sharegpt"])
@pytest.mark.parametrize(
    ("flags", "answers"),
    [
        ([{}, {"weight": 0}, {}, {"weight": 1}], "d"),
        ([{}, {"weight": 0.0}, {}, {"weight": 1.0}], "d"),
        ([{"train": False}, {"train": True}, {"train": False}, {"train": False}], "b"),
        ([{}, {"training": False}, {}, {"loss": True}], "d"),
        ([{"weight": 0}, {"weight": None}, {"weight": None}, {"weight": 0, "train": False}], "b"),
        ([{"weight": None}, {"weight": None}, {}, {}], "bd"),
    ],
)
def test_flags_of_turns_decide_what_is_trained_on(
    tmp_path: Path, format: str, flags: list[dict[str, Any]], answers: str
) -> None:
    (row, all_trained), counts = read(tmp_path, format, talk(format, *flags), talk(format))
    assert trained(row) == answers and trained(all_trained) == "bd"
    assert [turn["value"] for turn in row["conversations"]] == list("abcd")
    assert counts.read["answers that are not trained on"] == 2 - len(answers)
    assert (row["digest"] == all_trained["digest"]) == (answers == "bd")


REFUSED_TURNS: list[tuple[int, dict[str, Any], str]] = [
    *((1, {"weight": value}, "neither 0 nor 1") for value in ("0", "1", 0.5, -1, 2, True, False, [], "")),
    *((1, {name: value}, "not a truth value") for name in ("train", "training") for value in (0, 1, "false", [])),
    (1, {"weight": 0, "train": True}, "contradict each other"),
    (0, {"train": True}, "turn that is not an answer is to be trained on"),
    (2, {"weight": 1}, "turn that is not an answer is to be trained on"),
    (1, {"train_detail": [{"begin_offset": 0, "end_offset": 1, "train": False}]}, "'train_detail' of a turn would"),
    (1, {"tool_calls": [{"function": {"name": "lint"}}]}, "'tool_calls' of a turn would change what is learnt"),
    (1, {"function_call": {"name": "lint"}}, "'function_call'"),
    (1, {"name": "Ada"}, "'name'"),
    (1, {"reasoning_content": "Because."}, "'reasoning_content'"),
    (1, {"Weight": 0}, "'Weight' of a turn is written differently from 'weight'"),
    (1, {"toolCalls": ["x"]}, "'toolCalls'"),
    (1, {"ｗｅｉｇｈｔ": 0}, "written differently from 'weight'"),
    (1, {"\ufefftool_calls": ["x"]}, "would change what is learnt"),
    (1, {"TRAIN": False}, "written differently from 'train'"),
]


@pytest.mark.parametrize(("number", "more", "reason"), REFUSED_TURNS)
def test_turns_that_cannot_be_honoured_are_refused_or_counted(
    tmp_path: Path, number: int, more: dict[str, Any], reason: str
) -> None:
    for format in ("messages", "sharegpt"):
        rows = talk(format, *({} for _ in range(number)), more), talk(format)
        with pytest.raises(BadRow, match=f"line 1: .*{reason}(?s:.*)ignored_fields"):
            read(tmp_path, format, *rows)
        kept, counts = read(tmp_path, format, *rows, bad_rows="drop")
        assert len(kept) == 1 and counts.dropped.total() == 1
        assert len(read(tmp_path, format, *rows, ignored_fields=list(more))[0]) == 2


REFUSED_ROWS: list[tuple[str, Any]] = [
    ("tools", [{"type": "function"}]),
    ("tools", '[{"name": "lint"}]'),
    ("Tools", '[{"name": "lint"}]'),
    ("functions", [{"name": "lint"}]),
    ("parallel_tool_calls", False),
    ("images", ["a.png"]),
    ("videos", ["a.mp4"]),
    ("audios", "a.wav"),
    ("chosen", {"from": "gpt", "value": "x"}),
    ("rejected", "x"),
    ("kto_tag", False),
    ("label", False),
    ("label", "False"),
    ("rejected_response", "x"),
    ("weight", 0),
    ("system_prompt", "Be brief."),
]


@pytest.mark.parametrize("format", ["messages", "sharegpt", *QUESTION])
@pytest.mark.parametrize(("name", "value"), REFUSED_ROWS)
def test_fields_that_no_format_can_honour_are_refused(tmp_path: Path, format: str, name: str, value: Any) -> None:
    good = QUESTION.get(format) or talk(format)
    with pytest.raises(BadRow, match=f"line 2: field '{name}' of .* would change what is learnt"):
        read(tmp_path, format, good, {**good, name: value})
    kept, counts = read(tmp_path, format, good, {**good, name: value}, bad_rows="drop")
    assert len(kept) == 1 and counts.dropped.total() == 1
    kept, counts = read(tmp_path, format, good, {**good, name: value}, ignored_fields=[name])
    assert len(kept) == 2 and counts.changed[f"ignored field '{name}'"] == 1
    for empty in (None, "", "[]", [], {}, [None], {"a": None}):
        assert len(read(tmp_path, format, {**good, name: empty})[0]) == 1


@pytest.mark.parametrize("level", ["file", "article", "paragraph"])
def test_fields_around_published_questions(tmp_path: Path, level: str) -> None:
    def published(**more: Any) -> dict[str, Any]:
        question = {"question": "q", "answers": [{"text": "a", "answer_start": 0}]}
        paragraph = {"context": "a b", "qas": [question], **(more if level == "paragraph" else {})}
        article = {"title": "t", "paragraphs": [paragraph], **(more if level == "article" else {})}
        return {"data": [article], "version": "1.1", **(more if level == "file" else {})}

    with pytest.raises(BadRow, match="field 'system' of .* would change what is learnt"):
        read(tmp_path, "squad", published(system="Be brief."))
    rows, counts = read(tmp_path, "squad", published(mood="good"))
    assert len(rows) == 1 and counts.changed.total() == 1


def test_other_fields_are_accepted_and_counted_unless_they_are_metadata(tmp_path: Path) -> None:
    for format in ("messages", "sharegpt", *QUESTION):
        row = {**(QUESTION.get(format) or talk(format)), "id": 7, "source": "x", "url": None, "mood": "good"}
        kept, counts = read(tmp_path, format, row, row)
        assert len(kept) == 2 and counts.changed == {"ignored field 'mood'": 2}
        with pytest.raises(BadRow, match="a field is unknown"):
            read(tmp_path, format, row, other_fields="reject")
    _, counts = read(tmp_path, "messages", talk("messages", {"mood": "good", "id": 1}))
    assert counts.changed == {"ignored field 'messages.mood'": 1}
    _, counts = read(tmp_path, "messages", *(talk("messages", **{f"field {number}": 1}) for number in range(300)))
    assert len(counts.changed) == 101 and counts.changed.total() == 300


def test_system_messages_and_their_places(tmp_path: Path) -> None:
    turn = {"role": "system", "content": "Be brief."}
    row = talk("messages")
    for bad, reason in (
        ({"messages": [turn, turn, *row["messages"]]}, "system message is not the first turn"),
        ({"messages": [*row["messages"], turn]}, "system message is not the first turn"),
        ({"messages": [turn, *row["messages"]], "system": "Be long."}, "two system messages"),
        ({"messages": [{**turn, "content": ""}, *row["messages"]]}, "is empty"),
        ({"messages": [{**turn, "train": True}, *row["messages"]]}, "not an answer"),
        ({**row, "system": ["Be brief."]}, "field 'system' of the row is not a text"),
        ({**row, "System": "Be brief."}, "written differently from 'system'"),
    ):
        with pytest.raises(BadRow, match=reason):
            read(tmp_path, "messages", bad)
    (kept,), _ = read(tmp_path, "messages", {"messages": [turn, *row["messages"]], "system": "Be brief."})
    assert kept["system"] == "Be brief."


def test_conversations_without_an_answer_to_train_on_are_counted(tmp_path: Path) -> None:
    nothing = talk("messages", {}, {"weight": 0}, {}, {"weight": 0})
    kept, counts = read(tmp_path, "messages", nothing, talk("messages"))
    assert len(kept) == 1 and counts.dropped == {"conversation without an answer to train on": 1}


def alpaca(**more: Any) -> dict[str, Any]:
    return {"instruction": "Write a mux.", "input": "", "output": "assign y = s ? b : a;", **more}


ALPACA = {"fields": {"context": "input", "response": "output", "category": None}}


def test_alpaca_rows_with_a_system_message_or_history_are_conversations(tmp_path: Path) -> None:
    pairs = [["What is a mux?", "A switch."], ["And a demux?", "The reverse."]]
    rows = [
        alpaca(),
        alpaca(system="", history=[]),
        alpaca(system=" Answer in Verilog. "),
        alpaca(history=pairs),
        alpaca(system="Be brief.", history=pairs[:1], input="With two inputs."),
    ]
    (plain, empty, system, history, both), counts = read(tmp_path, "prompt_response", *rows, **ALPACA)
    assert plain["input"] == "Write a mux." and plain["digest"] == empty["digest"] and "conversations" not in empty
    assert system["system"] == "Answer in Verilog." and history["system"] == "" and both["system"] == "Be brief."
    assert [turn["value"] for turn in system["conversations"]] == ["Write a mux.", "assign y = s ? b : a;"]
    earlier = [*pairs[0], *pairs[1]]
    assert [turn["value"] for turn in history["conversations"]] == [*earlier, "Write a mux.", plain["output"]]
    assert [turn["from"] for turn in history["conversations"]] == ["User", "Assistant"] * 3
    assert len(both["conversations"]) == 4 and "With two inputs." in both["conversations"][2]["value"]
    assert {row["category"] for row in (plain, system, history)} == {"instruction"}
    assert counts.read["rows with a system message or earlier turns"] == 3


@pytest.mark.parametrize(
    ("more", "options", "reason"),
    [
        ({"history": [["q"]]}, {}, "history"),
        ({"history": [["q", ""]]}, {}, "history"),
        ({"history": "q"}, {}, "'history' of the row is not a list"),
        ({"system": 7}, {}, "'system' of the row is not a text"),
        ({"system": "x"}, {"system": None}, "'system' of the row would change"),
        ({"history": [["q", "a"]]}, {"history": None}, "'history' of the row would change"),
        ({"input": "text"}, {"context": None}, "'input' of the row would change"),
        ({"SYSTEM": "x"}, {}, "written differently from 'system'"),
    ],
)
def test_alpaca_rows_that_cannot_be_honoured(tmp_path: Path, more: dict[str, Any], options: Any, reason: str) -> None:
    fields = {**ALPACA["fields"], **options}
    with pytest.raises(BadRow, match=f"line 1: .*{reason}"):
        read(tmp_path, "prompt_response", alpaca(**more), fields=fields)


def test_a_set_of_questions_and_conversations_is_split_and_reported(tmp_path: Path) -> None:
    rows = [alpaca(instruction=f"Write module {n}.", **({"system": f"Be {n}."} if n % 2 else {})) for n in range(40)]
    folder = write_lines(tmp_path / "a", [*rows, alpaca(tools=["x"])])
    options = {**ALPACA, "bad_rows": "drop", "split": {"counts": "exact", "near_duplicates": 1}}
    splits, report = make_set(folder, tmp_path / "out", "prompt_response", **options)
    kept = [row for members in splits.values() for row in members]
    assert len(kept) == 40 and sum("conversations" in row for row in kept) == 20
    (reason,) = report["dropped"]
    assert "'tools'" in reason and report["dropped"][reason]["first"] == ["rows.jsonl, line 41"]


VALUES = st.recursive(
    st.none() | st.sampled_from(["", " ", "[]", "{}", "null"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(VALUES, st.sampled_from([0, False, "x", "0", 0.5, True]))
def test_a_value_is_empty_if_nothing_in_it_has_content(empty: Any, content: Any) -> None:
    assert is_empty(empty) and not is_empty([empty, {"a": [content]}])


def test_names_are_compared_without_case_and_separators() -> None:
    assert len({fold(name) for name in ("tool_calls", "toolCalls", "Tool-Calls", "TOOL CALLS", "toolcalls")}) == 1


@pytest.mark.parametrize("format", ["messages", "sharegpt", *QUESTION])
def test_a_licence_of_the_row_overrides_that_of_the_source(tmp_path: Path, format: str) -> None:
    row = QUESTION.get(format) or talk(format)
    for own, licence in ((["ISC", "BSD-2-Clause"], "BSD-2-Clause AND ISC"), ("", "MIT")):
        (read_row,), _ = read(tmp_path, format, {**row, "License": own})
        assert read_row["licence"] == licence
    (read_row,), _ = read(tmp_path, format, {**row, "licence": 5}, ignored_fields=["licence"])
    assert read_row["licence"] == "MIT"
    for fields in ({"licence": 5}, {"licence": "ISC", "license": "MIT"}):
        with pytest.raises(BadRow, match="licence"):
            read(tmp_path, format, {**row, **fields})


def test_a_licence_inside_a_row_is_counted(tmp_path: Path) -> None:
    _, counts = read(tmp_path, "messages", talk("messages", {"license": "ISC"}))
    assert counts.changed == {"ignored field 'messages.license'": 1}


def test_a_kind_of_task_that_is_no_truth_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="field 'is_classification' of the task is not a truth value"):
        read(tmp_path, "self_instruct", {**QUESTION["self_instruct"], "is_classification": "true"})


@pytest.mark.parametrize(
    ("format", "options", "key"),
    [
        ("prompt_response", {"fields": {"group": "wafer"}}, "fields.group"),
        ("prompt_response", {"fields": {"history": "wafer"}}, "fields.history"),
        ("messages", {"system_field": "wafer"}, "system_field"),
        ("sharegpt", {"system_field": "wafer"}, "system_field"),
    ],
)
def test_an_option_that_names_a_field_of_no_row_is_misspelt(
    tmp_path: Path, format: str, options: dict[str, Any], key: str
) -> None:
    row = QUESTION.get(format) or talk(format)
    with pytest.raises(BadRow, match=f"none has the field 'wafer', which {key} names"):
        read(tmp_path, format, row, row, bad_rows="drop", **options)
    empty: Any = [] if "history" in key else ""
    assert len(read(tmp_path, format, row, {**row, "wafer": empty}, **options)[0]) == 2


@pytest.mark.parametrize("field", ["reasoning_content", "thinking", "loss", "documents"])
def test_fields_of_rows_that_change_what_is_learnt_are_refused(tmp_path: Path, field: str) -> None:
    with pytest.raises(BadRow, match=f"field '{field}' of the row would change what is learnt"):
        read(tmp_path, "prompt_response", {**QUESTION["prompt_response"], field: ["x"]})
