"""``tapeout compare`` on two runs that differ in one row: the row is named, and the number that it moved."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tapeout.cli import output
from tapeout.cli.main import main
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import save
from tapeout.graph.workspace import State, Workspace
from tapeout.report.evaluation.document import SCHEMA
from tests.graph.folders import folder
from tests.report.comparison.test_comparison import JOB, TASK, answers

ACTION = "<action>"
REPORT = json.dumps({"schema": SCHEMA, "subject": {"action": ACTION}, "measures": {}})
FACTS = {"context": 256, "vocabulary": 32_768, "parameters": 9_000_000}


def build(
    here: Workspace, name: str, files: dict[str, str], params: dict[str, Any], *inputs: str, **lists: list[Reference]
) -> None:
    """Seal an artifact as the runner does; ``ACTION`` in a file becomes the digest of its action."""
    references: dict[str, Any] = {f"input_{number}": Reference(needed) for number, needed in enumerate(inputs)} | lists
    recipe = Recipe(name, "rule", "script.py", {"script.py": "0" * 64}, "e", "1" * 64, params, references)
    action = recipe.action(lambda needed: here.manifest(needed) or pytest.fail(needed))
    output = here.work / action.digest
    for path, content in files.items():
        file = output / path if path else output
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.replace(ACTION, action.digest))
    with here.store.in_use():
        manifest = Manifest.of(output, name, action.digest)
        here.store.seal(action, manifest, output)
        here.publish(manifest)
    here.mark(name, State.CURRENT, action)


def build_all(here: Workspace, response: str, right: range) -> None:
    rows = [{"instruction": f"question {index}", "response": "same"} for index in range(9)]
    rows[2]["response"] = response
    build(
        here,
        "sources/questions",
        {"questions.jsonl": "".join(json.dumps(row) + "\n" for row in rows)},
        {"at": response},
    )
    results = []
    for model, exact in (("base", range(0)), ("sft", right)):
        content = json.dumps({"model": FACTS, "result": answers(exact)})
        results.append(f"evaluation/{model}/{TASK}.json")
        build(here, results[-1], {"": content}, {}, *(["sources/questions"] if model == "sft" else []))
    build(here, "eval_report", {"report.json": REPORT}, JOB, *results)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEOUT_STORE", raising=False)
    here = folder(tmp_path, tmp_path / "store")
    build_all(here, "four", range(4))
    save(here, "before", pinned=False)
    return here


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tapeout", "compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    if not ended.value.code:  # a sign of life for each step that may take long
        assert re.findall(r"^(?:Reading|Comparing)\b", captured.err, re.M) == ["Reading", "Reading", "Comparing"]
        return 0, captured.out
    return int(ended.value.code), captured.out + captured.err


def test_one_changed_row(here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    build_all(here, "five", range(16))
    code, out = call(monkeypatch, capsys, "@before", "results", "--output", "comparison", "--json")
    assert code == 0
    [one] = json.loads(out)["comparisons"]
    assert one["headline"].startswith("2 of 3 headline numbers moved significantly")
    assert one["origins"] == [
        {
            "artifact": "sources/questions",
            "changes": ["parameter at: four → five"],
            "rows": ["questions.jsonl, row 3, response: four → five"],
            "tasks": [TASK],
            "code": [],
        }
    ]
    written = {path.name: path.read_text() for path in Path("comparison").iterdir()}
    assert written.keys() == {"comparison.html", "comparison.json", "comparison.md"}
    assert json.loads(written["comparison.json"])["comparisons"] == [one]
    assert all("row 3, response: four → five" in text for text in written.values())

    code, out = call(monkeypatch, capsys, "results", "@before")
    assert code == 0 and "questions.jsonl, row 3, response: five → four" in out and "12 wrong" in out


def test_the_same_report_and_names_that_are_no_report(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.json").write_text("[]")
    Path("foreign").mkdir()
    Path("foreign/report.json").write_text(REPORT.replace(ACTION, "0" * 64))
    code, out = call(monkeypatch, capsys, "@before", "results")
    assert code == 0 and "All 3 headline numbers are the same." in out and "base: all 3 numbers are the same." in out
    for arguments, said in (
        (["results"], "One report was named"),
        (["results", "sft/model"], "sft/model is not a report"),
        (["results", "./missing"], "There is no report missing"),
        (["results", "./config.json"], "config.json is not the report.json of an evaluation report"),
        (["results", "./foreign"], "No store has the results that foreign/report.json is computed from"),
        (["results", "sweep/lr=1"], "sweep/report"),
        (["results", "@other"], "other"),
    ):
        code, out = call(monkeypatch, capsys, *arguments)
        assert code == 3 and said in out


def test_a_copied_folder_of_a_report_is_compared_like_its_run(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(here.results / "eval_report", "copy")
    build_all(here, "five", range(16))
    found = []
    for name in ("@before", "./copy", "./copy/report.json"):
        code, out = call(monkeypatch, capsys, name, "results", "--json")
        assert code == 0
        [one] = json.loads(out)["comparisons"]
        found.append({key: value for key, value in one.items() if key != "before"})
    assert found[0]["headline"].startswith("2 of 3 headline numbers") and found[1:] == found[:1] * 2


def test_a_file_that_is_not_the_report_of_its_action_is_refused(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report, questions = here.manifest("eval_report"), here.manifest("sources/questions")
    assert report is not None and questions is not None
    own = (here.results / "eval_report/report.json").read_text()
    for content, said in (
        (own.replace('"measures": {}', '"measures": {"rtl.exact_match": 1}'), "is not as it was built"),
        (own.replace(" ", ""), "is not as it was built"),
        (
            own.replace(SCHEMA, "tapeout.eval-report/99"),
            f"has the schema tapeout.eval-report/99, and this version reads {SCHEMA}",
        ),
        (own.replace(SCHEMA, "tapeout.data-report/1"), "is not the report.json of an evaluation report"),
        (own.replace(report.action, questions.action), "is not the report.json of an evaluation report"),
    ):
        Path("copy.json").write_text(content)
        for arguments in (["./copy.json", "results"], ["results", "./copy.json"]):
            code, out = call(monkeypatch, capsys, *arguments)
            assert code == 3 and f"copy.json {said}" in out
    code, out = call(monkeypatch, capsys, f"./{'a' * 5000}", "results")
    assert code == 3 and "is too long" in out


def test_folders_of_the_build_and_taken_names_are_no_output(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken/comparison.md").mkdir(parents=True)
    Path("file").write_text("")
    for path, said in (
        ("results/eval_report", "only the build writes"),
        ("taken", "comparison.md is not a regular file"),
        ("file", "file is not a folder"),
    ):
        code, out = call(monkeypatch, capsys, "@before", "results", "--output", path)
        assert code == 3 and said in out
    assert [path.name for path in Path("taken").iterdir()] == ["comparison.md"]
    assert [path.name for path in (here.results / "eval_report").iterdir()] == ["report.json"]


def test_a_table_of_long_paths_has_all_of_its_measures_and_numbers_in_80_columns(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four of 40 answers are right before, 16 after; with 12 to 0, p is 3 x 2 / 2 ** 12, 0.0015."""
    copy = Path("a_folder_with_a_long_name/and_another_one_below_it/and_the_report_that_was_copied")
    shutil.copytree(here.results / "eval_report", copy)
    build_all(here, "five", range(16))
    monkeypatch.setattr(output.console, "width", 80)
    code, out = call(monkeypatch, capsys, f"./{copy}", "results")
    lines = [line.replace("\N{NARROW NO-BREAK SPACE}", " ").rstrip() for line in out.splitlines()]
    assert code == 0 and f"before: ./{copy}" in out.replace("\n", "") and "after:  results" in out
    cells = [re.split(r"\s{2,}", line) for line in lines]
    assert ["rtl: exact match", "10.0 %", "40.0 %", "+30.0 points", "0.001", "better"] in cells
    assert ["sft", "before", "after", "change", "p", "verdict"] in cells
    assert next(i for i, line in enumerate(lines) if line.startswith("sft ")) < next(
        i for i, line in enumerate(lines) if line.startswith("The change originates in")
    )


def test_reports_of_projects_with_their_own_stores(
    here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each report is found in the store beside it, whichever store TAPEOUT_STORE names."""
    project = tmp_path / "other"
    project.mkdir()
    other = folder(project, project / "store")
    build_all(other, "five", range(16))
    assert other.store.root.is_dir() and other.store.root != here.store.root
    found = []
    for store, before, after in (
        ("", "results", "./other/results/eval_report"),
        ("", "./results", "./other/results"),
        ("", ".//", f"{project}"),
        ("other/store", "results", "./other/results/eval_report/report.json"),
        ("other/store", "@before", str(project)),
        ("nowhere", "results", "./other"),
    ):
        monkeypatch.setenv("TAPEOUT_STORE", store)
        code, out = call(monkeypatch, capsys, before, after, "--json")
        assert code == 0, out
        [one] = json.loads(out)["comparisons"]
        found.append({key: value for key, value in one.items() if key not in ("before", "after")})
    assert found[0]["headline"].startswith("2 of 3 headline numbers") and found == found[:1] * 6
    assert found[0]["origins"][0]["rows"] == ["questions.jsonl, row 3, response: four → five"]


SWEEP = {
    **{name: JOB[name] for name in ("resamples", "permutations", "tasks")},
    **{"model": "sft", "variants": ["lr=1,rows=all", "lr=2,rows=all"]},
    "axes": {"lr": ["lr=1", "lr=2"], "rows": ["rows=all"]},
}


def build_sweep(here: Workspace) -> None:
    """Build two variants whose models differ in a learning rate; the sources are those of the configuration."""
    build(here, "sources/questions", {"questions.jsonl": "{}\n"}, {})
    results, models = [], []
    for lr, right in ((1, range(4)), (2, range(16))):
        models.append(f"sweep/lr={lr}/sft/model")
        build(here, models[-1], {"weights": str(lr)}, {"lr": lr}, "sources/questions")
        results.append(f"sweep/lr={lr}/evaluation/sft/{TASK}.json")
        build(here, results[-1], {"": json.dumps({"model": FACTS, "result": answers(right)})}, {}, models[-1])
    inputs = {"evaluations": [Reference(name) for name in results], "models": [Reference(name) for name in models]}
    build(here, "sweep/report", {"report.json": "{}"}, SWEEP, **inputs)


def test_variants_of_a_sweep(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve more right answers are clear; the learning rate is named, of the model without the variant's prefix."""
    build_sweep(here)
    code, out = call(monkeypatch, capsys, "sweep/lr=1,rows=all", "sweep/rows=all,lr=2", "--json")
    [one] = json.loads(out)["comparisons"]
    assert code == 0 and one["headline"].startswith("2 of 3 headline numbers moved significantly")
    assert one["origins"] == [
        {"artifact": "sft/model", "changes": ["parameter lr: 1 → 2"], "rows": [], "tasks": [TASK], "code": []}
    ]
    assert [model["after"] for model in one["models"]] == ["sft"]

    assert one["only_before"] == one["only_after"] == []

    code, out = call(monkeypatch, capsys, "results", "sweep/lr=2,rows=all", "--output", "comparison")
    assert code == 0 and "moved significantly" in out
    for form in (out, Path("comparison/comparison.html").read_text(), Path("comparison/comparison.md").read_text()):
        plain = " ".join(form.replace("\\", "").split())
        assert f"Only results is made from: evaluation/base/{TASK}.json." in plain
        assert "Only sweep/lr=2,rows=all is made from: sft/model." in plain
    code, out = call(monkeypatch, capsys, "results", "sweep/lr=3,rows=all")
    assert code == 3 and "has no variant lr=3,rows=all; did you mean" in out
