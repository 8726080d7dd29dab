"""``tapeout diff`` on runs and artifacts of the small project, and on any files."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tapeout.cli import diff_tables
from tapeout.cli.main import main
from tapeout.compare.weights import TensorChange, WeightsDetail
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import save
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace
from tests.graph.conftest import Project

REPORT = """
import json
from dataclasses import replace
text = inputs["model"][0].read_text()
numbers = {"loss": sum(text.encode()) / 8, "rows": len(text), "answers": [{"id": 1, "x": len(text)}]}
output.write_text(json.dumps(numbers))
"""


class Auditor:
    """Call ``tapeout diff`` in a folder, in this process, because a new process takes long to start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def call(self, where: Project, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        self.monkeypatch.chdir(where.root)
        self.monkeypatch.setattr(sys, "argv", ["tapeout", "diff", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = self.capsys.readouterr()
        return int(ended.value.code or 0), output, errors

    def as_json(self, where: Project, *arguments: str) -> tuple[int, Any]:
        """Exit code and decoded output."""
        code, output, _ = self.call(where, *arguments, "--json")
        return code, json.loads(output)


@pytest.fixture
def auditor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Auditor:
    return Auditor(monkeypatch, capsys)


@pytest.fixture
def twice(project: Project) -> Iterator[Project]:
    """Return the project with a JSON report, saved as the run ``before``, and built again from another source."""
    for name in ("Snakefile", "rules/steps.smk"):
        project.edit(name, "report.txt", "report.json")
    project.edit("scripts/report.py", 'output.write_text(" ".join(words(" ".join(texts))) + "\\n")', REPORT)
    project.run()
    root = project.root
    save(Workspace(Store(root / "store"), root / "results", root / "work", root / "runs"), "before", pinned=False)
    project.path("src/data.txt").write_text("b\na\nd\nlonger\n")
    project.edit("config.yaml", "lr: 1", "lr: 5")
    project.run()
    return project


def test_an_audit_of_two_runs(auditor: Auditor, twice: Project) -> None:
    code, result = auditor.as_json(twice, "@before", "results")
    assert code == 1
    states = {row["artifact"]: (row["state"], row["is_origin"]) for row in result["artifacts"]}
    assert states == {
        "raw.txt": ("changed", True),
        "formatted.txt": ("changed", False),
        "model": ("changed", False),
        "notes/de.txt": ("same", False),
        "notes/en.txt": ("same", False),
        "report.json": ("changed", False),
    }
    order = list(states)
    assert order.index("raw.txt") < order.index("formatted.txt") < order.index("model") < order.index("report.json")
    numbers = {change["name"]: (change["old"], change["new"]) for change in result["numbers"]["report.json"]}
    assert list(numbers) == ["loss", "rows", "answers.0.x"]
    _, text, _ = auditor.call(twice, "@before", "results")
    assert "4 artifacts different, 2 artifacts the same" in text and "The change originates in raw.txt" in text
    assert "Also changed in itself: model" in text and "lr" in text and "numbers of report.json" in text
    action = Action({"artifact": "other.txt", "schema": 2, "inputs": {}})
    known = Manifest.from_json(json.loads(twice.path("results/notes/de.txt.manifest.json").read_bytes()))
    manifest = replace(known, artifact="other.txt", action=action.digest)
    Store(twice.path("store")).write_entry(action, manifest)
    twice.path("results/other.txt.manifest.json").write_bytes(manifest.encode())
    code, again = auditor.as_json(twice, "@before", "results")
    assert again == {**result, "not_compared": ["other.txt"]}, "no step of the configuration makes it"
    assert auditor.call(twice, "@before", "@before")[:2] == (
        0,
        "Configuration: config.yaml (of the last run)\n@before → @before: 6 artifacts the same.\n\n",
    )

    # one artifact of the two runs, and its action

    code, result = auditor.as_json(twice, "raw.txt@before", "raw.txt")
    assert code == 1 and result["level"] == "none" and result["origins"][0]["artifact"] == "raw.txt"
    assert result["files"][0]["detail"]["added"] >= 1
    code, result = auditor.as_json(twice, "model@before", "model", "--actions")
    assert {"kind": "parameter", "name": "lr", "old": 1, "new": 5} in result["actions"]
    assert [leaf["artifact"] for leaf in result["origins"]] == ["raw.txt", "model"]
    before = json.loads(twice.path("runs/before/model.manifest.json").read_bytes())
    now = json.loads(twice.path("results/model.manifest.json").read_bytes())
    code, by_digest = auditor.as_json(twice, before["action"], now["action"][:12])
    assert code == 1 and by_digest["actions"] == result["actions"] and by_digest["files"] == result["files"]
    assert "actions" not in auditor.as_json(twice, before["digest"], now["digest"])[1]
    assert auditor.as_json(twice, "model~1", "model@before")[0] == 0
    assert auditor.as_json(twice, "notes/de.txt@before", "notes/de.txt", "--actions")[1]["actions"] == []
    code, text, _ = auditor.call(twice, "notes/de.txt@before", "notes/de.txt")
    assert code == 0 and text.endswith("notes/de.txt@before and notes/de.txt are the same, byte for byte.\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["@before", "raw.txt"], 3, "InvalidUse: @before is a run and raw.txt is not."),
        (["@before", "results"], 3, "UnknownName"),
        (["raw.txt", "raw.txt"], 3, "UnknownName"),
        (["./a", "./missing"], 3, "UnknownName: There is no file or folder ./missing."),
        (["./a", "./a", "--actions"], 3, "UnknownName"),
        (["./a", "./link"], 3, "NotAPlainFile"),
        (["./a", f"./{'a' * 300}"], 3, "is too long for this system."),
        (["./a", "./a", "--configfile", "bad.yaml"], 3, "comparison.tensors must be"),
        (["./a", "./a", "--limit", "0"], 2, "--limit"),
        (["./a"], 2, "Missing argument"),
        (["./x.safetensors", "./y.safetensors"], 3, "InvalidEnvironment"),
    ],
)
def test_errors(auditor: Auditor, project: Project, arguments: list[str], code: int, words: str) -> None:
    for name in ("a", "x.safetensors", "y.safetensors"):
        project.path(name).write_text(name)
    project.path("link").symlink_to("a")
    project.path("bad.yaml").write_text("comparison: {tensors: -1}")
    status, _, errors = auditor.call(project, *arguments)
    assert status == code and words in errors


EVIL = "\x1b[31mred\x1b[0m [bold]loud[/bold] :smile: [/] \\"
"""Text with control sequences and markup."""


def rows(*outputs: str) -> str:
    values = [{"input": f"How wide is port {number}?", "output": text} for number, text in enumerate(outputs)]
    return "".join(json.dumps(value) + "\n" for value in values)


def files(root: Path, **contents: Any) -> None:
    for name, content in contents.items():
        path = root / name.replace("_", "/", 1).replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


@pytest.fixture
def folders(project: Project) -> Project:
    """Return two folders with a difference of every kind, except those that need torch."""
    words = [f"answer {number}" for number in range(40)]
    names = {f"a_very_long_name_of_a_metric_that_somebody_measured_{number}": number / 3 for number in range(30)}
    files(
        project.root,
        old_rows_jsonl=rows(*words, "the very same\tword" + " and" * 40),
        new_rows_jsonl=rows(EVIL, *words[1:], "the very other\tword" + " and" * 40) + json.dumps({"x": EVIL}) + "\n",
        old_numbers_json=json.dumps({**names, "text": "a"}),
        new_numbers_json=json.dumps({**{name: value + 1 for name, value in names.items()}, "text": EVIL, "new": [1]}),
        old_text_txt="one\n" * 5,
        new_text_txt="one\n" * 5 + EVIL,
        old_raw_bin="\0a",
        new_raw_bin="\0b",
        old_broken_json="{",
        new_broken_json="{}",
        old_tokenizer_json=json.dumps({"model": {"vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}),
        new_tokenizer_json=json.dumps({"model": {"vocab": {"b": 0, EVIL: 1}, "merges": ["b a"]}}),
        old_page_html="<p>Loss 1.0</p>",
        new_page_html="<p>Loss 2.0</p>",
    )
    return project


def printed(where: Project, width: int, *arguments: str) -> tuple[int, str]:
    """Return exit code and output on a terminal of the given width."""
    command = [sys.executable, "-m", "tapeout.cli", "diff", *arguments]
    environment = {**where.variables(), "COLUMNS": str(width)}
    done = subprocess.run(command, cwd=where.root, env=environment, capture_output=True, text=True, timeout=300)
    assert not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("width", [80, 140])
def test_every_kind_fits_the_terminal_and_counts_what_it_leaves_out(folders: Project, width: int) -> None:
    code, text = printed(folders, width, "./old", "./new", "--limit", "7")
    assert code == 1 and max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text and "[bold]loud" in text and ":smile:" in text
    for words in (
        "rows.jsonl: 1 row added, 2 rows changed",
        "numbers.json: 1 value added, 31 values changed",
        "… 25 more rows; --limit shows more, --json all",
        "text.txt: 1 line added",
        "raw.bin: 1 byte differ",
        "the old file is not JSON",
        "1 piece added, 1 piece removed, 1 merge added, 1 merge removed",
        "1 visible line added, 1 visible line removed",
    ):
        assert words.split()[0] in text and " ".join(words.split()) in " ".join(text.split()), words
    _, text = printed(folders, width, "./old", "./new", "--limit", "2")
    assert "… 5 more rows" in text and "text.txt" not in text
    assert "more rows" not in printed(folders, width, "./old", "./new", "--limit", "40")[1]


def test_json_has_all_differences(auditor: Auditor, folders: Project) -> None:
    code, result = auditor.as_json(folders, "./old", "./new")
    assert code == 1 and result["same_files"] == 0 and "origins" not in result
    details = {file["path"]: file["detail"] for file in result["files"]}
    assert len(details["numbers.json"]["changes"]) == details["numbers.json"]["total"] == 32
    changed = [row for row in details["rows.jsonl"]["rows"] if row["state"] == "changed"]
    assert changed[0]["fields"][0]["new"] == EVIL and changed[0]["old"] == changed[0]["new"] == 1
    assert details["tokenizer.json"]["changes"]["pieces added"] == [{"piece": EVIL, "old": None, "new": 1}]


def test_the_bounds_of_the_configuration_are_used(auditor: Auditor, folders: Project) -> None:
    files(folders.root, one_a_json='{"loss": 1.0}', two_a_json='{"loss": 1.05}')
    assert auditor.as_json(folders, "./one", "./two")[1]["level"] == "none"
    folders.path("bounds.yaml").write_text("comparison: {named: {loss: {absolute: 0.1}}}")
    code, result = auditor.as_json(folders, "./one", "./two", "--configfile", "bounds.yaml")
    assert (code, result["level"]) == (1, "metrics")


def test_a_value_of_a_checkpoint_that_is_no_tensor_is_shown_as_it_is() -> None:
    """A checkpoint may have a switch that the other lacks."""
    tensor = {"type": "float32", "shape": [2, 3]}
    changes = (TensorChange("first", "removed", True, None), TensorChange("a", "added", None, tensor))
    detail = WeightsDetail(
        equal=0, counts={"added": 1, "removed": 1, "form": 0, "changed": 0, "value": 0}, tensors=changes
    )
    (lines,) = diff_tables._weights(detail, "weights")
    table: Any = list(lines.columns[0].cells)[1]
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    assert cells == [["first", "a"], ["True", "-"], ["-", "float32 2×3"]]
