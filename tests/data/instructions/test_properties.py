"""Properties of any rows: order, files and other rows do not change them, and everything read is counted."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.instructions import SPLITS
from tests.data.instructions.material import make_set

pytestmark = pytest.mark.environment("data")

QUICK = settings(max_examples=25, deadline=None, derandomize=True)
WORDS = [
    "setup",
    "hold",
    "skew",
    "slack",
    "arc",
    "path",
    "net",
    "pin",
    "cell",
    "gate",
    "latch",
    "mux",
    "adder",
    "fifo",
    "bus",
    "clock",
    "reset",
    "edge",
]
SPLIT = {"validation": 0.3, "test": 0.3}


def sentence(number: int, words: int = 9) -> str:
    return " ".join(Random(number).choices(WORDS, k=words))


def prompt(number: int) -> dict[str, Any]:
    """Rows that are equal to others, near to others, or neither."""
    kind, rest = divmod(number, 40)
    asked = sentence(rest) + ("", "?", " please", "")[kind % 4]
    return {
        "instruction": asked,
        "context": sentence(rest + 100, rest % 5),
        "response": sentence(rest + 200, 3),
        "category": f"c{rest % 3}",
    }


def task(number: int) -> dict[str, Any]:
    instances = [{"input": sentence(number + index, 2), "output": sentence(number, 2)} for index in range(number % 4)]
    return {"instruction": sentence(number % 30), "instances": instances, "is_classification": number % 2 == 0}


def question(number: int) -> dict[str, Any]:
    """Some answers are in the context twice, and some questions have none."""
    again, base = divmod(number, 50)
    word = WORDS[base % 7]
    context = f"{word} {sentence(base)} {word} {sentence(base)}"
    start = context.index(word, len(word)) if again % 2 else 0
    answers = [{"text": word, "answer_start": start}] if base % 11 else []
    return {"title": f"t{base % 17}", "context": context, "question": sentence(base, 4), "answers": answers}


def talk(number: int) -> dict[str, Any]:
    roles = ("user", "assistant") * 3
    size = number % 6
    return {"messages": [{"role": roles[n], "content": sentence(number % 30 + n, 5)} for n in range(size)]}


def tree(number: int) -> dict[str, Any]:
    draw = Random(number)

    def message(depth: int) -> dict[str, Any]:
        return {
            "text": sentence(draw.randrange(60), 6),
            "role": ("prompter", "assistant")[depth % 2],
            "lang": draw.choice(["en", "en", "en", "de"]),
            "deleted": draw.random() < 0.1,
            "synthetic": draw.random() < 0.1,
            "replies": [message(depth + 1) for _ in range(draw.choice([0, 1, 1, 2]) if depth < 4 else 0)],
        }

    return {"message_tree_id": f"t{number}", "tree_state": "ready_for_export", "prompt": message(0)}


FORMATS = {
    "prompt_response": prompt,
    "self_instruct": task,
    "squad": question,
    "messages": talk,
    "chat_trees": tree,
}
UNIT = {
    "prompt_response": "rows",
    "self_instruct": "instances",
    "squad": "questions",
    "messages": "conversations",
    "chat_trees": "paths",
}
formats = st.sampled_from(sorted(FORMATS))
numbers = st.lists(st.integers(0, 159), min_size=12, max_size=60)


def write(folder: Path, rows: list[dict[str, Any]], files: int = 1) -> Path:
    folder.mkdir(parents=True)
    for number in range(files):
        part = rows[number::files]
        if part:
            (folder / f"part{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    return folder


def made_set(folder: Path, format: str, **split: Any) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """All splits, of which some may be empty, and the report."""
    return make_set(folder, folder.parent / f"{folder.name}-out", format, bad_rows="drop", split={**SPLIT, **split})


@QUICK
@given(formats, numbers, st.integers(1, 3), st.randoms(use_true_random=False), st.sampled_from(["drop", "keep"]))
@pytest.mark.parametrize("counts", ["stable", "exact"])
def test_order_and_files_do_not_change_a_byte(
    counts: str,
    tmp_path_factory: pytest.TempPathFactory,
    format: str,
    drawn: list[int],
    files: int,
    random: Random,
    equal: str,
) -> None:
    place = tmp_path_factory.mktemp("order")
    rows = [*map(FORMATS[format], drawn), *map(FORMATS[format], range(200, 260))]
    options = {"counts": counts, "equal_rows": equal}
    made_set(write(place / "a", rows), format, **options)
    random.shuffle(rows)
    made_set(write(place / "b", rows, files), format, **options)
    for part in SPLITS:
        assert (place / "a-out" / f"{part}.jsonl").read_bytes() == (place / "b-out" / f"{part}.jsonl").read_bytes()


@QUICK
@given(formats, numbers, st.sampled_from(["drop", "keep"]))
def test_everything_read_is_a_row_or_counted_as_dropped(
    tmp_path_factory: pytest.TempPathFactory, format: str, drawn: list[int], equal: str
) -> None:
    place = tmp_path_factory.mktemp("counts")
    rows: list[Any] = [*map(FORMATS[format], drawn), *map(FORMATS[format], range(200, 260))]
    splits, report = made_set(write(place / "a", [*rows, 7]), format, equal_rows=equal)
    dropped = Counter({reason: drop["count"] for reason, drop in report["dropped"].items()})
    assert (
        dropped["the row is not an object"]
        + dropped["the tree is not an object"]
        + dropped["the task is not an object"]
        + dropped["the record is not an object"]
        == 1
    )
    if format == "self_instruct":
        # a task without instances gives none, and is counted as a task
        assert report["read"]["tasks"] == len(rows) + 1
        left_out = dropped["row equal to another"]
    elif format == "chat_trees":
        of_messages = ("deleted", "synthetic", "another language", "reply", "not an object")
        left_out = sum(count for reason, count in dropped.items() if not any(word in reason for word in of_messages))
        taken = sum(count for reason, count in dropped.items() if "message" in reason)
        assert report["read"]["trees"] == len(rows) + 1 and report["read"]["messages"] >= taken
    else:
        left_out = dropped.total() - (format == "squad")
    assert report["read"][UNIT[format]] == sum(map(len, splits.values())) + left_out
    assert report["rows"] == {part: len(members) for part, members in splits.items()}


@QUICK
@given(formats, st.sets(st.integers(0, 59), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_more_rows_do_not_change_rows_that_are_not_near_them(
    tmp_path_factory: pytest.TempPathFactory, format: str, more: set[int], random: Random
) -> None:
    """Without near-duplicates all lines stay, unless a new row shares their group or question."""
    place = tmp_path_factory.mktemp("more")
    rows = [FORMATS[format](number) for number in range(200, 290)]
    before, _ = made_set(write(place / "a", rows), format, near_duplicates=1)
    known = {row["group"] for members in before.values() for row in members}
    rows += [FORMATS[format](number) for number in more]
    random.shuffle(rows)
    after, _ = made_set(write(place / "b", rows), format, near_duplicates=1)
    lines = {json.dumps(row, sort_keys=True) for part in SPLITS for row in before[part]}
    new = [row for part in SPLITS for row in after[part] if json.dumps(row, sort_keys=True) not in lines]
    touched = {row["group"] for row in new} & known
    for part in SPLITS:
        unchanged = [row for row in after[part] if json.dumps(row, sort_keys=True) in lines]
        moved = [row for row in before[part] if row not in unchanged]
        assert all(row["group"] in touched or asked(row) in {asked(added) for added in new} for row in moved)


def asked(row: dict[str, Any]) -> str:
    """Return the question, as far as the line shows it."""
    return str(row["conversations"][0]["value"] if "conversations" in row else row["input"])
