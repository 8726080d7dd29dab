"""The page of a sweep: which variant is the best, and what the test data does not show."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.report import SweepJob
from tests.report.evaluation.conftest import digest, train_log

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
VARIANTS = ("blend=code,lr=0.001", "blend=code,lr=0.0003", "blend=mixed,lr=0.001")
BITS = {VARIANTS[0]: [2000, 2000], VARIANTS[1]: [1900, 2110], VARIANTS[2]: [3000, 3000]}
"""Bits of every other document of 1,000 bytes: 2.0, 2.005 and 3.0 bits per byte."""


def result(bits: list[int], domain: str = "domain") -> dict[str, Any]:
    def corpus(name: str, counts: list[int]) -> dict[str, Any]:
        documents = [
            {"digest": digest(f"{name}{number}"), "source": name, "bytes": 1000, "tokens": 300, "bits": bits}
            for number, bits in enumerate(counts * 10)
        ]
        return {"documents": documents, "documents_by_source": {name: 20}}

    return {"corpora": {"domain": corpus(domain, bits), "general": corpus("general", [1500, 1500])}}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("sweep"), {variant: result(bits) for variant, bits in BITS.items()})


def write_sweep(folder: Path, results: dict[str, Any], shared: bool = False) -> Path:
    """Write the report of variants from their results; with ``shared`` they all have the same artifacts."""
    inputs: dict[str, list[dict[str, Any]]] = {"evaluations": [], "models": []}
    files: dict[str, list[Path]] = {"evaluations": [], "models": []}
    for number, (variant, measured) in enumerate(results.items()):
        model = folder / f"model{number}"
        model.mkdir()
        (model / "train_log.json").write_text(json.dumps(train_log(6.0, 3.0 + number)))
        evaluation = folder / f"{number}.json"
        facts = {"context": 256, "vocabulary": 32768, "parameters": 1000 + number}
        evaluation.write_text(json.dumps({"model": facts, "result": measured}))
        for name, artifact, path in (("evaluations", "evaluation/sft/x", evaluation), ("models", "sft/model", model)):
            artifact = artifact if shared else f"sweep/{variant}/{artifact}"
            inputs[name].append({"artifact": artifact, "path": None, "digest": digest(artifact)})
            files[name].append(path)
    action = folder / "action.json"
    action.write_text(json.dumps({"artifact": "sweep/report", "inputs": inputs, "params": {}}) + "\n")
    axes = {"blend": ("blend=code", "blend=mixed"), "lr": ("lr=0.001", "lr=0.0003")}
    tasks = (("bits_per_byte", "bits_per_byte", {}),)
    job = SweepJob(resamples=400, permutations=1000, model="sft", axes=axes, variants=VARIANTS, tasks=tasks)
    main = runpy.run_path(str(ROOT / "scripts" / "sweep.py"))["main"].__wrapped__
    main(job, **files, action=action, output=folder / "report")
    return folder / "report"


def test_the_best_variant_and_those_that_may_be_as_good(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())
    assert numbers["headline"] == "2 of 3 variants may be the best"
    assert numbers["best"] == {"bits_per_byte.domain": [VARIANTS[0]], "bits_per_byte.general": list(VARIANTS)}
    measures = {name: numbers["variants"][name]["measures"]["bits_per_byte.domain"] for name in VARIANTS}
    assert [measures[name]["value"] for name in VARIANTS] == [2.0, 2.005, 3.0]
    assert [measures[name]["standing"] for name in VARIANTS] == ["good", "open", "bad"]
    assert measures[VARIANTS[0]]["difference_to_best"] is None
    assert measures[VARIANTS[2]]["difference_to_best"] == {
        **{"value": 1.0, "low": 1.0, "high": 1.0},
        **{"p": 0.000999, "corrected": 0.001998},
    }
    second = measures[VARIANTS[1]]["difference_to_best"]
    assert second["low"] < 0 < second["high"] and second["value"] == 0.005
    general = [numbers["variants"][name]["measures"]["bits_per_byte.general"] for name in VARIANTS]
    assert {entry["value"] for entry in general} == {1.5} and {entry["standing"] for entry in general} == {"open"}


def test_each_variant_states_its_choices_and_what_it_was_computed_from(report: Path) -> None:
    variant = json.loads((report / "report.json").read_text())["variants"][VARIANTS[1]]
    assert variant["choices"] == {"blend": "code", "lr": "0.0003"}
    assert variant["parameters"] == 1001 and variant["training"]["steps"][-1]["step"] == 200
    names = [f"sweep/{VARIANTS[1]}/{artifact}" for artifact in ("evaluation/sft/x", "sft/model")]
    assert variant["computed_from"] == {name: digest(name) for name in names}


def test_the_page_says_the_same(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert "Best with blend=code,lr=0.001: 2.000. No clear difference to blend=code,lr=0.0003." in page
    assert "All variants have 1.500." in page
    assert page.count("<svg") == 3 and "http" not in page


def test_measures_without_common_units_are_left_out_and_equal_variants_are_named(tmp_path: Path) -> None:
    bits = [1500, 1500]
    results = {variant: result(bits, f"domain {variant}") for variant in VARIANTS}
    folder = write_sweep(tmp_path, results, shared=True)
    numbers, page = json.loads((folder / "report.json").read_text()), (folder / "report.html").read_text()
    assert numbers["headline"] == "3 variants with equal values"
    assert numbers["not_compared"] == ["Bits per byte, domain text"]
    assert list(numbers["best"]) == ["bits_per_byte.general"]
    assert f"{VARIANTS[2]} is the same as {VARIANTS[0]}" in page
