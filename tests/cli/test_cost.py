"""``tapeout cost`` on the small project: jobs, sums, and the origin of the numbers."""

import json
from typing import Any

import pytest

from tests.cli.conftest import as_json, call
from tests.graph.conftest import Project

SUMS = ("jobs", "wall", "one_after_another", "cpu_hours", "gpu_hours", "node_hours", "download", "stored")


def origins(result: dict[str, Any]) -> dict[str, str]:
    return {step["artifact"]: step["seconds_from"] for step in result["steps"]}


def test_nothing_to_do_costs_nothing(built: Project) -> None:
    code, result = as_json(built, "cost")
    assert code == 0 and result["steps"] == [] and result["counts"]["current"] == 6
    assert result["at_least"] == result["at_most"] == dict.fromkeys(SUMS, 0)
    named = "Configuration: config.yaml (of the last run)\n"
    assert call(built, "cost")[1] == f"{named}report.txt: nothing to do, 6 cached (6 current).\n"


def test_at_least_and_at_most(built: Project) -> None:
    built.edit("config.yaml", "lr: 1", "lr: 5")
    code, result = as_json(built, "cost")
    assert code == 1
    assert [(step["artifact"], step["certain"]) for step in result["steps"]] == [("model", True), ("report.txt", False)]
    assert [result[name]["jobs"] for name in ("at_least", "likely", "at_most")] == [1, 2, 2]
    assert origins(result) == {"model": "similar", "report.txt": "recorded"}
    stored = {step["artifact"]: step["stored"] for step in result["steps"]}
    assert stored["report.txt"] == built.path("results/report.txt").stat().st_size
    assert result["at_most"]["stored"] == sum(stored.values())
    built.run()
    built.edit("config.yaml", "lr: 5", "lr: 1")
    code, result = as_json(built, "cost")
    assert code == 0 and result["counts"]["restore"] == 2


def test_a_parameter_that_json_writes_in_another_way_has_not_changed(project: Project) -> None:
    sealed = '        sealed("report.txt"),\n'
    project.edit("rules/steps.smk", sealed, sealed + "    params:\n        bounds=(0, {1: 2}),\n")
    project.run()
    project.edit("config.yaml", "lr: 1", "lr: 5")
    assert {step["artifact"]: step["certain"] for step in as_json(project, "cost")[1]["steps"]}["report.txt"] is False


def test_the_plan_of_a_run_has_the_same_sums(project: Project) -> None:
    text = " ".join(project.run("-n").text.split())
    result = as_json(project, "cost", "--cores", "4")[1]
    assert result["at_most"]["wall"] == 30  # the hint of the rule raw; the others have none
    assert "6 jobs, 0 cached, 30 s on 4 cores, 30 s one after another, 0.01 CPU hours" in text
    assert "time of 5 unknown" in text and len(result["unknown"]["time"]) == 5
    assert "The time of formatted.txt, model, notes/de.txt" in call(project, "cost")[1]


def test_gpu_rules(project: Project) -> None:
    asked = "    resources:\n        gpu=16, gpu_model='h100', gflop=10**11, typical_bytes=5_000_000\n    threads: 2\n"
    project.edit("rules/steps.smk", "    threads: 2\n", asked)
    result = as_json(project, "cost")[1]
    model = next(step for step in result["steps"] if step["artifact"] == "model")
    assert (model["gpus"], model["nodes"], model["machine"], model["seconds_from"]) == (16, 2, "h100", "assumed")
    assert model["gpu_hours"] == pytest.approx(1e20 / (989e12 * 0.38) / 3600)
    assert result["at_most"]["gpu_hours"] == model["gpu_hours"] == pytest.approx(8 * result["at_most"]["node_hours"])
    text = call(project, "cost")[1]
    assert "GPU hours" in text and "node hours" in text and "5.0 MB" in text


def test_targets(project: Project) -> None:
    for target in ("formatted", "formatted.txt"):
        result = as_json(project, "cost", target)[1]
        assert [step["artifact"] for step in result["steps"]] == ["raw.txt", "formatted.txt"]
        assert result["targets"] == ["formatted.txt"]
    assert as_json(project, "cost", "notes")[1]["targets"] == ["notes/de.txt", "notes/en.txt"]
    assert as_json(project, "cost", "notes/fr.txt")[1]["at_most"]["jobs"] == 1
    code, _, errors = call(project, "cost", "modle")
    assert code == 3 and "UnknownName: There is no artifact or rule modle; did you mean model?" in errors
    project.edit("rules/steps.smk", 'notes=[artifact("notes/en.txt"), artifact("notes/de.txt")],', "")
    code, _, errors = call(project, "cost", "notes")
    assert code == 3 and "UnknownName: Rule notes makes many artifacts." in errors and "notes/{language}.txt" in errors


def test_times_of_another_kind_of_machine(built: Project) -> None:
    built.edit("config.yaml", "lr: 1", "lr: 5")
    built.run()
    built.edit("config.yaml", "lr: 5", "lr: 1")
    journal = built.path("store/journal.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text("".join(json.dumps({**line, "machine": "riscv64", "cores": 512}) + "\n" for line in lines))
    built.path("src/data.txt").write_text("b\na\nd\n")
    result = as_json(built, "cost")[1]
    elsewhere = dict.fromkeys(("formatted.txt", "model", "report.txt"), "elsewhere")
    assert origins(result) == elsewhere | {"raw.txt": "similar"}
    assert {step["machine"] for step in result["steps"]} == {"riscv64, 512 cores"}


def test_tables_fit_the_terminal(project: Project) -> None:
    project.edit("rules/steps.smk", "typical_seconds=30", "typical_seconds=30, download_bytes=11_000_000_000")
    for columns in (80, 140):
        text = call(project, "cost", columns=str(columns))[1]
        assert "11.0 GB" in text and max(map(len, text.splitlines())) <= columns
    plan = project.run("-n").text.split("Plan (dry run)")[1]
    assert "11.0 GB to download" in plan and max(map(len, plan.splitlines())) <= 80
