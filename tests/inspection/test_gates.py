"""Leaks, drops, and the limits that stop a training run."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.inspection import DataReport, Gates
from tapeout.config.instructions import InstructionSetJob
from tapeout.data.instructions.instruction_set import write_set
from tapeout.data.io.jsonl import write_jsonl
from tapeout.inspection.data_summary import DataSummary, StepCounts, read_counts
from tapeout.inspection.gates import measure_gates
from tapeout.inspection.overlap import RowOverlap
from tapeout.inspection.rows import split_files
from tapeout.inspection.split_leakage import count_leaks
from tests.inspection.conftest import Write, question

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).resolve().parents[2]


def test_a_question_or_a_group_in_two_splits_is_a_leak(write: Write) -> None:
    folder = write(
        "set",
        train=[question("How wide  is A?", "1", "one"), question("Which?", "x", "two")],
        validation=[question("how wide is a?", "another answer", "three"), question("Who?", "y", "four")],
        test=[question("Where?", "z", "two")],
    )
    result = count_leaks(split_files(folder))
    assert (result["held_out"], result["leaked"]) == (3, 2)
    forms = write("forms", train=[question("caf\u00e9?", "1", "A\u0301")], test=[question("cafe\u0301?", "2", "x")])
    assert count_leaks(split_files(forms))["examples"][0]["same"] == "question"
    forms = write("groups", train=[question("A?", "1", "A\u0301")], test=[question("B?", "2", "\u00c1")])
    assert count_leaks(split_files(forms))["examples"][0]["same"] == "group"
    assert [(example["split"], example["same"]) for example in result["examples"]] == [
        ("test", "group"),
        ("validation", "question"),
    ]


rows = st.lists(
    st.builds(question, st.sampled_from(["a", "b", "B", " b"]), st.sampled_from("xy"), st.sampled_from("12345")),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(rows, rows, rows)
def test_leaks_are_those_of_a_naive_search(train: list[Any], validation: list[Any], test: list[Any]) -> None:
    with TemporaryDirectory() as name:
        for split, members in (("train", train), ("validation", validation), ("test", test)):
            write_jsonl(Path(name) / f"{split}.jsonl", members)
        result = count_leaks(split_files(Path(name)))
    asked = {" ".join(row["input"].lower().split()) for row in train}
    groups = {row["group"] for row in train}
    leaked = [row for row in (*validation, *test) if row["input"].lower().strip() in asked or row["group"] in groups]
    assert (result["held_out"], result["leaked"]) == (len(validation) + len(test), len(leaked))


def test_documents_leak_by_their_digest(write: Write) -> None:
    same = {"text": "t", "digest": "ab", "source": "s"}
    assert count_leaks(split_files(write("set", train=[same], test=[same, {**same, "digest": "cd"}])))["leaked"] == 1


def summary(overlaps: list[RowOverlap], dropped: int = 10) -> DataSummary:
    train = {"rows": 100, "not_encoded": 10, "without_loss": 3}
    measures = {
        "splits": {"train": train},
        "leaks": {"held_out": 20, "leaked": 1},
        "test_sets": {"t": {"rows": 50, "too_short": 10}},
    }
    steps = {"instructions/x": StepCounts(30, Counter({"blank record": dropped, "other kind": 500}), Counter())}
    return DataSummary({"set": measures}, {"set": {"t": overlaps}}, steps, {})


def measured(gates: Gates, overlaps: list[RowOverlap]) -> dict[str, tuple[int, int, float, bool]]:
    result = measure_gates(summary(overlaps), DataReport(gates=gates))
    return {gate.gate: (gate.count, gate.total, gate.limit, gate.passed) for gate in result}


def test_measured_values_are_compared_with_their_limits() -> None:
    overlaps = [RowOverlap("a", 0.9, (), {}), RowOverlap("b", 0.5, (), {}), RowOverlap("c", 0.49, (), {})]
    assert measured(Gates(), overlaps) == {
        "contaminated": (2, 40, 0.05, True),
        "dropped": (10, 40, 0.5, True),
        "without_loss": (3, 90, 0.0, False),
        "leaked": (1, 20, 0.0, False),
    }


def test_many_short_rows_do_not_make_the_fraction_small() -> None:
    short = [RowOverlap("s", 1.0, (), {}, short=True)]
    assert measured(Gates(), short)["contaminated"][:2] == (1, 41)


def test_single_sets_have_limits_of_their_own() -> None:
    gates = Gates(contaminated_of={"t": 0.01}, dropped_of={"instructions/x": 0.2}, without_loss=0.1, leaked=0.05)
    result = measured(gates, [RowOverlap("a", 0.9, (), {})])
    assert {name: passed for name, (*_, passed) in result.items()} == {
        "contaminated": False,
        "dropped": False,
        "without_loss": True,
        "leaked": True,
    }


def test_the_counts_of_a_set_add_up(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    rows = [
        {"instruction": f"Ask {number}?", "context": "", "response": "yes", "category": "c"} for number in range(40)
    ]
    lines = [*map(orjson.dumps, rows), orjson.dumps(rows[0]), b'{"instruction": 1}']
    (source / "rows.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    for number in range(9):
        (source / f"{number}.md").write_text("a file that is not asked for")
    options = {
        "format": "prompt_response",
        "files": "*.jsonl",
        "bad_rows": "drop",
        "split": {"near_duplicates": 1, "counts": "exact"},
    }
    job = {"name": "s", "licences": {"s": "MIT"}, "options": {**options, "sources": ["s"]}}
    write_set({"s": source}, InstructionSetJob.model_validate(job), tmp_path / "made")
    counts = read_counts("instructions/s", orjson.loads((tmp_path / "made" / "report.json").read_bytes()))
    assert (counts.kept, counts.lost) == (40, 2)
    assert counts.dropped["file of another name"] == 9


@pytest.mark.parametrize(
    ("step", "report", "kept", "lost"),
    [
        (
            "corpus/domain",
            {
                "sources": {"a": {"dropped": {"other kind": 5, "too large": 2}, "repaired": {"line ends": 1}}},
                "train": {"documents": 3},
                "test": {"documents": 4},
            },
            7,
            2,
        ),
        ("instructions/x", {"rows": {"train": 2, "test": 1}, "dropped": {"same": {"count": 3}}, "changed": {}}, 3, 3),
        (
            "instructions/rtl",
            {
                "rows": {"train": 8},
                "dropped": {"file: other kind": {"count": 9}, "file: too large": {"count": 2}},
                "changed": {},
            },
            8,
            2,
        ),
        ("encoded/x", {"train": {"rows": 5, "dropped": {"longer": {"count": 2}}}, "test": {"dropped": {}}}, 5, 2),
        ("pretraining/documents/x", {"kept": {"documents": 9}, "dropped": {"too short": 1}, "repaired": {}}, 9, 1),
        (
            "pretraining/shards/0000",
            {"kept": {"s": {"documents": 4}}, "dropped": {"s": {"duplicate": 2}}, "scrubbed": {}},
            4,
            2,
        ),
        ("pretraining/near", {"documents": 10, "near duplicates": 3}, 7, 3),
    ],
)
def test_the_report_of_each_step_is_read(step: str, report: dict[str, Any], kept: int, lost: int) -> None:
    counts = read_counts(step, report)
    assert (counts.kept, counts.lost) == (kept, lost)


def gates(tmp_path: Path, passed: bool, where: str) -> subprocess.CompletedProcess[str]:
    gate = {"gate": "leaked", "artifact": where, "subject": "held-out rows of x", "count": 1, "total": 20, "limit": 0.0}
    whole = {**gate, "artifact": "trained", "fraction": 0.0, "passed": True}
    result = {"gates": [*([whole] if where == "another" else []), {**gate, "fraction": 0.05, "passed": passed}]}
    (tmp_path / "report.json").write_bytes(orjson.dumps(result))
    (tmp_path / "params.json").write_text('{"trained": ["trained"]}')
    command = ["scripts/gates.py", "--report", str(tmp_path / "report.json"), "--params", str(tmp_path / "params.json")]
    command = [sys.executable, *command, "--output", str(tmp_path / "gates.json")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_an_exceeded_limit_stops_with_its_figures_and_leaves_nothing(tmp_path: Path) -> None:
    done = gates(tmp_path, passed=False, where="trained")
    assert done.returncode == 1
    assert "leaked: held-out rows of x: 1 of 20 (5.0 %, limit 0 %)" in done.stderr
    assert "data_report.gates" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "gates.json").exists()


def test_data_of_a_training_without_a_gate_stops_it(tmp_path: Path) -> None:
    done = gates(tmp_path, passed=True, where="renamed")
    assert done.returncode == 1
    assert (
        "The data report has no gate for trained, which a training run reads." in done.stderr
        and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "gates.json").exists()


def test_gates_of_other_data_do_not_stop_and_passed_gates_are_the_same_bytes(tmp_path: Path) -> None:
    assert gates(tmp_path, passed=False, where="another").returncode == 0
    one = (tmp_path / "gates.json").read_bytes()
    assert gates(tmp_path, passed=True, where="trained").returncode == 0
    assert (tmp_path / "gates.json").read_bytes() == one
