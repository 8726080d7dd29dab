"""Leaks, drops, and the bounds that stop a training."""

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
from tapeout.inspection.drops import Drops, read_drops
from tapeout.inspection.gates import judge
from tapeout.inspection.leaks import leaks
from tapeout.inspection.overlap import Row
from tapeout.inspection.rows import sides_of
from tests.inspection.conftest import Write, question

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).resolve().parents[2]


def test_a_question_or_a_group_on_two_sides_is_a_leak(write: Write) -> None:
    folder = write(
        "set",
        train=[question("How wide  is A?", "1", "one"), question("Which?", "x", "two")],
        validation=[question("how wide is a?", "another answer", "three"), question("Who?", "y", "four")],
        test=[question("Where?", "z", "two")],
    )
    found = leaks(sides_of(folder))
    assert (found["held out"], found["leaked"]) == (3, 2)
    assert [(each["side"], each["same"]) for each in found["first"]] == [("test", "group"), ("validation", "question")]


rows = st.lists(
    st.builds(question, st.sampled_from(["a", "b", "B", " b"]), st.sampled_from("xy"), st.sampled_from("12345")),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(rows, rows, rows)
def test_leaks_are_those_of_a_naive_search(train: list[Any], validation: list[Any], test: list[Any]) -> None:
    with TemporaryDirectory() as name:
        for side, members in (("train", train), ("validation", validation), ("test", test)):
            write_jsonl(Path(name) / f"{side}.jsonl", members)
        found = leaks(sides_of(Path(name)))
    asked = {" ".join(row["input"].lower().split()) for row in train}
    groups = {row["group"] for row in train}
    leaked = [row for row in (*validation, *test) if row["input"].lower().strip() in asked or row["group"] in groups]
    assert (found["held out"], found["leaked"]) == (len(validation) + len(test), len(leaked))


def test_documents_leak_by_their_digest(write: Write) -> None:
    same = {"text": "t", "digest": "ab", "source": "s"}
    assert leaks(sides_of(write("set", train=[same], test=[same, {**same, "digest": "cd"}])))["leaked"] == 1


def measures(**changed: Any) -> dict[str, Any]:
    train = {"rows": 100, "left out": 10, "without target": 3}
    return {
        "sides": {"train": train},
        "leaks": {"held out": 20, "leaked": 1},
        "looked for": {"t": {"rows": 50, "too short to look for": 10}},
        **changed,
    }


def judged(gates: Gates, held: list[Row]) -> dict[str, tuple[int, int, float, bool]]:
    drops = {"instructions/x": Drops(30, Counter({"blank record": 10, "other kind": 500}), Counter())}
    found = judge({"set": measures()}, {"set": {"t": held}}, drops, DataReport(gates=gates))
    found = [gate for gate in found if (gate.gate, gate.where) != ("dropped", "set")]
    return {gate.gate: (gate.count, gate.of, gate.bound, gate.passed) for gate in found}


def test_what_is_measured_is_held_against_its_bound() -> None:
    held = [Row("a", 0.9, (), {}), Row("b", 0.5, (), {}), Row("c", 0.49, (), {})]
    assert judged(Gates(), held) == {
        "contaminated": (2, 40, 0.05, True),
        "dropped": (10, 40, 0.5, True),
        "without_target": (3, 90, 0.0, False),
        "leaked": (1, 20, 0.0, False),
    }


def test_rows_that_only_the_training_leaves_out_are_judged() -> None:
    drops = {f"{step}/x": Drops(80, Counter({"too long": 20}), Counter()) for step in ("imported", "encoded")}
    train = {"sides": {"train": {"rows": 100, "left out": 60}}}
    sets = {name: measures(**train) for name in ("instructions/splits", "instructions/x", "corpus/domain")}
    found = list(
        judge(sets, {name: {} for name in sets}, drops, DataReport(gates=Gates(dropped_of={"corpus/domain": 0.6})))
    )
    dropped = {gate.where: (gate.count, gate.of, gate.passed) for gate in found if gate.gate == "dropped"}
    assert dropped == {
        "instructions/x": (20, 100, True),  # what its encoding left out is counted there
        "encoded/x": (20, 100, True),
        "instructions/splits": (60, 100, False),
        "corpus/domain": (60, 100, True),
    }


def test_many_short_rows_make_no_share_small() -> None:
    short = [Row("s", 1.0, (), {}, short=True)]
    assert judged(Gates(), short)["contaminated"][:2] == (1, 41)


def test_single_sets_have_bounds_of_their_own() -> None:
    gates = Gates(contaminated_of={"t": 0.01}, dropped_of={"instructions/x": 0.2}, without_target=0.1, leaked=0.05)
    found = judged(gates, [Row("a", 0.9, (), {})])
    assert {name: passed for name, (*_, passed) in found.items()} == {
        "contaminated": False,
        "dropped": False,
        "without_target": True,
        "leaked": True,
    }


def test_the_account_of_an_import_adds_up(tmp_path: Path) -> None:
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
    account = read_drops("instructions/s", orjson.loads((tmp_path / "made" / "report.json").read_bytes()))
    assert (account.kept, account.lost) == (40, 2)
    assert account.dropped["file of another name"] == 9


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
def test_each_form_of_account_is_read(step: str, report: dict[str, Any], kept: int, lost: int) -> None:
    account = read_drops(step, report)
    assert (account.kept, account.lost) == (kept, lost)


def gates(tmp_path: Path, passed: bool, where: str) -> subprocess.CompletedProcess[str]:
    gate = {"gate": "leaked", "where": where, "subject": "held-out rows of x", "count": 1, "of": 20, "bound": 0.0}
    whole = {**gate, "where": "trained", "share": 0.0, "passed": True}
    found = {"gates": [*([whole] if where == "another" else []), {**gate, "share": 0.05, "passed": passed}]}
    (tmp_path / "report.json").write_bytes(orjson.dumps(found))
    (tmp_path / "params.json").write_text('{"trained": ["trained"]}')
    command = ["scripts/gates.py", "--report", str(tmp_path / "report.json"), "--params", str(tmp_path / "params.json")]
    command = [sys.executable, *command, "--output", str(tmp_path / "gates.json")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_broken_bound_stops_with_its_figures_and_leaves_nothing(tmp_path: Path) -> None:
    done = gates(tmp_path, passed=False, where="trained")
    assert done.returncode == 1
    assert "leaked: held-out rows of x: 1 of 20 (5.0 %, bound 0 %)" in done.stderr
    assert "data_report.gates" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "gates.json").exists()


def test_what_a_training_reads_and_no_gate_is_about_stops_it(tmp_path: Path) -> None:
    done = gates(tmp_path, passed=True, where="renamed")
    assert done.returncode == 1
    assert "No gate is about trained, which a training reads." in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "gates.json").exists()


def test_nothing_stops_for_what_is_not_trained_on_and_passed_gates_are_the_same_bytes(tmp_path: Path) -> None:
    assert gates(tmp_path, passed=False, where="another").returncode == 0
    one = (tmp_path / "gates.json").read_bytes()
    assert gates(tmp_path, passed=True, where="trained").returncode == 0
    assert (tmp_path / "gates.json").read_bytes() == one
