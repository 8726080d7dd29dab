"""Conversations: trees of OpenAssistant (fault F53), ``messages`` and ShareGPT files."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.data.errors import BadRow
from tests.data.instructions.material import contents, make_set, write_lines

pytestmark = pytest.mark.environment("data")


def message(text: str, role: str, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"text": text, "role": role, "lang": "en", "deleted": False, "replies": list(replies), **more}


def user(text: str, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return message(text, "prompter", *replies, **more)


def answer(text: str, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return message(text, "assistant", *replies, **more)


def tree(prompt: dict[str, Any], name: str = "t1", state: str = "ready_for_export") -> dict[str, Any]:
    return {"message_tree_id": name, "tree_state": state, "prompt": prompt}


def labels(**values: float) -> dict[str, Any]:
    return {name: {"value": value, "count": 3} for name, value in values.items()}


def texts_of(row: dict[str, Any]) -> str:
    return " / ".join(turn["value"] for turn in row["conversations"])


def test_every_path_is_a_conversation_of_its_tree(tmp_path: Path) -> None:
    prompt = user("a", answer("b", user("c", answer("d"), answer("e"))), answer("f"))
    rows, counts = contents(write_lines(tmp_path / "a", [tree(prompt)]), "chat_trees")
    assert [texts_of(row) for row in rows] == ["a / b / c / d", "a / b / c / e", "a / f"]
    assert {row["group"] for row in rows} == {"t1"}
    assert counts.read == {"files": 1, "trees": 1, "messages": 6, "paths": 3} and not counts.dropped
    assert rows[2]["conversations"] == [
        {"from": "User", "value": "a", "label": None},
        {"from": "Assistant", "value": "f"},
    ]
    assert (rows[0]["mask"], rows[0]["type"]) == ("User", "VALUE_TO_TEXT")
    assert rows[0]["system"].startswith("A chat between a curious user and an artificial intelligence assistant. The")


def test_label_strings_round_half_to_even_in_the_given_order(tmp_path: Path) -> None:
    # 4 x 0.125 = 0.5 -> 0, 4 x 0.375 = 1.5 -> 2, 4 x 0.625 = 2.5 -> 2
    given = labels(creativity=0.375, quality=0.625, toxicity=0.125, spam=1.0)
    prompt = user("a", answer("b", labels=given), labels=given)
    folder = write_lines(tmp_path / "a", [tree(prompt)])
    (row,), _ = contents(folder, "chat_trees")
    assert [turn.get("label") for turn in row["conversations"]] == [None, "quality:2,toxicity:0,creativity:2"]
    (row,), _ = contents(folder, "chat_trees", labels=["spam", "quality"])
    assert row["conversations"][1]["label"] == "spam:4,quality:2"


def test_dropped_messages_take_their_replies_along_and_are_counted(tmp_path: Path) -> None:
    prompt = user(
        "a",
        answer("made", user("c", answer("d", synthetic=True)), synthetic=True),
        answer("gone", user("c"), deleted=True),
        answer("fort", lang="de"),
        answer("b"),
    )
    trees = [tree(prompt), tree(user("x", answer("y")), "t2", "growing"), tree(user("z"), "t3")]
    folder = write_lines(tmp_path / "a", trees)
    rows, counts = contents(folder, "chat_trees", languages=["en"])
    assert [texts_of(row) for row in rows] == ["a / b"]
    assert counts.dropped == {
        "synthetic message": 2,
        "deleted message": 1,
        "message in another language": 1,
        "reply to a dropped message": 2,
        "tree that is not ready for export": 1,
        "conversation of one turn": 1,
    }
    everything = {"deleted": "keep", "synthetic": "keep", "not_ready": "keep", "last_user_turn": "keep"}
    rows, counts = contents(folder, "chat_trees", **everything)
    assert [texts_of(row) for row in rows] == ["a / made / c / d", "a / gone / c", "a / fort", "a / b", "x / y"]
    assert counts.read["conversations that end with the user"] == 1
    assert counts.dropped == {"conversation of one turn": 1}


def test_conversations_that_end_with_the_user(tmp_path: Path) -> None:
    # b is in a path that continues, in one that ends with c and in one that ends with d
    prompt = user("a", answer("b", user("c"), user("d"), user("e", answer("f"))), answer("g", user("h"), user("i")))
    folder = write_lines(tmp_path / "a", [tree(prompt)])
    rows, counts = contents(folder, "chat_trees")
    assert [texts_of(row) for row in rows] == ["a / b / e / f", "a / g"]
    assert counts.changed == {"last turn of the user cut": 1}
    assert counts.dropped == {"path that another one repeats once the user's last turn is cut": 3}
    rows, counts = contents(folder, "chat_trees", last_user_turn="drop")
    assert [texts_of(row) for row in rows] == ["a / b / e / f"]
    assert counts.dropped == {"conversation that ends with the user": 4}
    rows, _ = contents(folder, "chat_trees", last_user_turn="keep")
    assert len(rows) == 5


def test_a_deep_tree(tmp_path: Path) -> None:
    prompt = answer("end")
    for number in range(401):
        prompt = (answer if number % 2 else user)(f"turn {number}", prompt)
    (row,), _ = contents(write_lines(tmp_path / "a", [tree(prompt)]), "chat_trees")
    assert len(row["conversations"]) == 402


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"prompt": {}}, "the tree has no field 'message_tree_id'"),
        ({"message_tree_id": "t", "tree_state": "ready_for_export"}, "the tree has no field 'prompt'"),
        ({"message_tree_id": "t", "prompt": user("a")}, "the tree has no field 'tree_state'"),
        (tree(answer("a")), "the conversation does not begin with the user"),
        (tree(user("a", user("b"))), "two turns of one speaker"),
        (tree(user("a", message("b", "system"))), "a speaker is unknown"),
        (tree(user("a", answer("b", replies=None))), "field 'replies' of a message is not a list"),
        (tree(user("a", answer("", user("c")))), "field 'text' of a message is empty"),
        (tree(user("a", answer("b", deleted="no"))), "is not a truth value"),
        (tree(user("a", answer("b", labels={"quality": {"value": 7}}))), "less than or equal to 1"),
        (tree(user("a", answer("b", labels={"quality": {"value": True}}))), "is not a number"),
        (tree(user("a", answer("b", labels=[1]))), "is not an object"),
        (tree(user("a", answer("b", labels={"quality": None}))) | {"value": 0.5}, "a label is not an object"),
        (tree(user("a", answer("b\0"))), "NUL"),
    ],
)
def test_a_bad_tree_stops_or_is_dropped_as_a_whole(tmp_path: Path, broken: Any, words: str) -> None:
    folder = write_lines(tmp_path / "a", [tree(user("a", answer("b", synthetic=True), answer("c"))), broken])
    with pytest.raises(BadRow, match=f"line 2: .*{words}"):
        contents(folder, "chat_trees")
    rows, counts = contents(folder, "chat_trees", bad_rows="drop")
    assert len(rows) == 1 and counts.dropped.total() == 2 and counts.dropped["synthetic message"] == 1


def test_messages_and_sharegpt_give_the_same_rows(tmp_path: Path) -> None:
    talk = [("system", "Be brief."), ("user", "Hello "), ("assistant", "Hi."), ("user", "Bye")]
    other = {"user": "human", "assistant": "gpt", "system": "system"}
    one = write_lines(tmp_path / "a", [{"messages": [{"role": who, "content": text} for who, text in talk]}])
    two = write_lines(tmp_path / "b", [{"conversations": [{"from": other[who], "value": text} for who, text in talk]}])
    (row,), counts = contents(one, "messages")
    assert contents(two, "sharegpt")[0] == [row]
    assert row["conversations"] == [
        {"from": "User", "value": "Hello", "label": None},
        {"from": "Assistant", "value": "Hi."},
    ]
    assert (row["system"], row["type"], row["mask"]) == ("Be brief.", None, "User")
    assert counts.changed == {"last turn of the user cut": 1}
    renamed = write_lines(tmp_path / "c", [{"chat": [{"role": who, "content": text} for who, text in talk[1:]]}])
    (row,), _ = contents(renamed, "messages", field="chat", system="Mine.", last_user_turn="keep")
    assert row["system"] == "Mine." and len(row["conversations"]) == 3


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ("hello", "is not a list"),
        ([], "the conversation is empty"),
        (["hello"], "an item of messages is not an object"),
        ([{"role": "user"}], "an item of messages has no field 'content'"),
        (
            [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
            "field 'content' of an item of messages is not a text",
        ),
        ([{"role": "tool", "content": "x"}], "a speaker is unknown"),
        ([{"role": "assistant", "content": "x"}], "does not begin with the user"),
        ([{"role": "user", "content": "x"}, {"role": "user", "content": "y"}], "two turns of one speaker"),
        ([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}], "system message is not the first"),
    ],
)
def test_a_bad_conversation_stops_or_is_dropped(tmp_path: Path, turns: Any, words: str) -> None:
    good = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    folder = write_lines(tmp_path / "a", [{"messages": turns}, {"messages": good}])
    with pytest.raises(BadRow, match=f"line 1: .*{words}"):
        contents(folder, "messages")
    rows, counts = contents(folder, "messages", bad_rows="drop")
    assert len(rows) == 1 and counts.dropped.total() == 1


names = st.text("abcdef", min_size=1, max_size=8)
replies = st.recursive(
    st.just(()), lambda below: st.lists(st.tuples(names, below), max_size=3).map(tuple), max_leaves=9
)


def grown(text: str, below: tuple, speakers: tuple) -> dict[str, Any]:
    first, second = speakers
    return first(
        text, *(grown(f"{text}{number}{name}", more, (second, first)) for number, (name, more) in enumerate(below))
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.tuples(names, replies), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_rows_of_a_tree_do_not_depend_on_other_trees(
    tmp_path_factory: pytest.TempPathFactory, given: list, random: Random
) -> None:
    folder = tmp_path_factory.mktemp("trees")
    trees = [
        tree(grown(f"{number} {name}", below, (user, answer)), f"t{number}")
        for number, (name, below) in enumerate(given)
    ]
    alone = [
        row for conversation in trees for row in contents(write_lines(folder / "one", [conversation]), "chat_trees")[0]
    ]
    random.shuffle(trees)
    together, _ = contents(write_lines(folder / "all", trees), "chat_trees")
    assert sorted(alone, key=lambda row: row["digest"]) == sorted(together, key=lambda row: row["digest"])
    for row in together:
        speakers = [turn["from"] for turn in row["conversations"]]
        assert speakers == ["User", "Assistant"] * (len(speakers) // 2)


def test_no_tree_is_in_two_splits(tmp_path: Path) -> None:
    def talk(number: int) -> dict[str, Any]:
        words = " ".join(Random(number).choices(["setup", "hold", "skew", "slack", "arc", "path", "net", "pin"], k=9))
        return tree(user(f"{number} {words}", *(answer(f"{number} {letter}") for letter in "abc")), f"t{number}")

    folder = write_lines(tmp_path / "a", [talk(number) for number in range(100)])
    splits, report = make_set(folder, tmp_path / "out", "chat_trees")
    groups = [{row["group"] for row in rows} for rows in splits.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 100
    assert sum(report["rows"].values()) == 300
