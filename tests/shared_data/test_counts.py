"""The exact counts of real files."""

from collections import Counter

import pytest

from tests.shared_data.conftest import Built

pytestmark = pytest.mark.shared_data


def counts(report: dict) -> dict[str, int]:
    return {reason: found["count"] for reason, found in report["dropped"].items()}


def test_openassistant_trees(built: Built) -> None:
    report = built.report("instructions/oasst-en-100")
    assert report["read"] == {"files": 1, "trees": 100, "messages": 1167, "paths": 609}
    # 5 of the synthetic messages are roots, so that 95 trees are left
    assert counts(report) == {
        "synthetic message": 22,
        "path that another one repeats once the user's last turn is cut": 80,
    }
    assert report["changed"] == {"last turn of the user cut": 146}
    assert report["rows"] == {"train": 424, "validation": 79, "test": 26}
    rows = built.rows("instructions/oasst-en-100")
    groups = [{row["group"] for row in members} for members in rows.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 95
    for members in rows.values():
        for row in members:
            speakers = [turn["from"] for turn in row["conversations"]]
            assert speakers == ["User", "Assistant"] * (len(speakers) // 2)
            assert {turn.get("label") for turn in row["conversations"]} == {None}  # the file has none


def test_xquad(built: Built) -> None:
    report = built.report("instructions/xquad-en")
    assert report["read"] == {"files": 1, "articles": 48, "paragraphs": 240, "questions": 1190}
    assert counts(report) == {"row equal to another": 3}
    assert report["rows"] == {"train": 951, "validation": 178, "test": 58}
    rows = built.rows("instructions/xquad-en")
    groups = [{row["group"] for row in members} for members in rows.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 48
    for row in (row for members in rows.values() for row in members):
        begin, end = row["answer"]
        assert row["input"][begin:end].strip() == row["output"] != ""
        assert row["context"][0] <= begin < end <= row["context"][1]
        assert row["licence"] == "CC-BY-SA-4.0"


def test_self_instruct(built: Built) -> None:
    report = built.report("instructions/self-instruct")
    assert report["read"] == {"files": 1, "tasks": 175, "instances": 175}
    assert counts(report) == {}
    assert report["rows"] == {"train": 140, "validation": 26, "test": 9}
    assert {split: each["classification"] for split, each in report["categories"].items()} == {
        "train": 21,
        "validation": 4,
        "test": 1,
    }


def test_eda_corpus(built: Built) -> None:
    report = built.report("instructions/eda-corpus-qa")
    assert report["read"] == {"files": 1, "rows": 196}
    assert counts(report) == {"blank record": 788}
    assert report["rows"] == {"train": 156, "validation": 30, "test": 10}
    assert report["split"] == {
        "clusters": 183,
        "groups joined by near-duplicates": 13,
        "rows in the largest cluster": 7,
    }
    rows = [row for members in built.rows("instructions/eda-corpus-qa").values() for row in members]
    assert sum("\n" in row["input"] or "\n" in row["output"] for row in rows) == WITH_LINE_BREAKS
    assert not any("\ufeff" in row["input"] for row in rows)


WITH_LINE_BREAKS = 8
"""Of the 10 fields with line breaks two only end in one."""


def test_token_ids(built: Built) -> None:
    """With the default's tokenizer, and sft.seq_length 256."""
    counted = {}
    for name in ("oasst-en-100", "xquad-en", "self-instruct", "eda-corpus-qa"):
        report = built.report(f"encoded/{name}")
        rows = built.rows(f"encoded/{name}")
        for split, members in rows.items():
            assert len(members) == report[split]["rows"]
            assert sum(len(row["ids"]) for row in members) == report[split]["tokens"]
            assert all(any(row["mask"][1:]) and len(row["ids"]) <= 257 for row in members)
        left_out: Counter[str] = Counter()
        for each in report.values():
            left_out.update({reason: found["count"] for reason, found in each["dropped"].items()})
        totals = tuple(sum(each[figure] for each in report.values()) for figure in ("rows", "shortened"))
        counted[name] = (*totals, dict(left_out))
    assert counted == {
        "oasst-en-100": (
            230,
            65,
            {"no answer within seq_length": 225, "the same as another row once shortened": 74},
        ),
        "xquad-en": (1187, 461, {}),
        "self-instruct": (158, 0, {"longer than seq_length": 17}),
        "eda-corpus-qa": (194, 0, {"longer than seq_length": 2}),
    }


def test_the_data_report_counts_the_same_and_its_gates_are_passed(built: Built) -> None:
    report = built.report("data_report")
    splits = report["sets"]["instructions/oasst-en-100"]["splits"]
    assert {split: (each["rows"], each["not_encoded"]) for split, each in splits.items()} == {
        "train": (424, 232),
        "validation": (79, 48),
        "test": (26, 19),
    }
    steps = report["steps"]
    assert steps["instructions/eda-corpus-qa"] == {"kept": 196, "dropped": {"blank record": 788}, "changed": {}}
    assert steps["encoded/xquad-en"] == {"kept": 1187, "dropped": {}, "changed": {"shortened": 461}}
    contaminated = {
        (training, name): each["contaminated"]
        for training, sets in report["contamination"].items()
        for name, each in sets.items()
    }
    assert len(contaminated) == 56 and not any(contaminated.values())
    assert all(gate["passed"] for gate in report["gates"])
    assert (built.results / "gates.json").is_file()
