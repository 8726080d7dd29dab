"""The whole graph on small sources: it ends with the report, again runs nothing, and gives the same bytes elsewhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.end_to_end import forked_steps
from tests.end_to_end.conftest import Clone, Run, clone

pytestmark = pytest.mark.end_to_end

ARTIFACTS = [
    "base",
    "base_extended",
    "contamination/bits_per_byte.json",
    "contamination/instruction_answers/rtl.json",
    "corpus/domain",
    "corpus/general",
    "dapt/model",
    "data_report",
    "encoded/questions",
    "encoded/rtl",
    "eval_report",
    "evaluation/base/bits_per_byte.json",
    "evaluation/base/instruction_answers/rtl.json",
    "evaluation/dapt/bits_per_byte.json",
    "evaluation/dapt/instruction_answers/rtl.json",
    "evaluation/sft/bits_per_byte.json",
    "evaluation/sft/instruction_answers/rtl.json",
    "evaluation/tokenizer.surgery/bits_per_byte.json",
    "export/certificate.json",
    "export/hf",
    "export/serve_check.json",
    "gates.json",
    "inspected/corpus/domain",
    "inspected/corpus/general",
    "inspected/instructions/questions",
    "inspected/instructions/rtl",
    "instructions/questions",
    "instructions/rtl",
    "nemo/base.nemo",
    "sft/model",
    "sources/alpha",
    "sources/beta",
    "sources/gamma",
    "sources/prose",
    "sources/questions",
    "sources/tiny-tokenizer",
    "tokenizer",
    "tokenizer_panel.json",
]
NO_NUMBER_COMES_FROM = {
    "data_report",
    "encoded/questions",
    "encoded/rtl",
    "eval_report",
    "gates.json",
    "inspected/corpus/domain",
    "inspected/corpus/general",
    "inspected/instructions/questions",
    "inspected/instructions/rtl",
}


def test_every_artifact_is_made_and_the_report_shows_its_digest(finished: tuple[Clone, Run]) -> None:
    made, run = finished
    assert run.built == ARTIFACTS
    digests = made.digests()
    assert sorted(digests) == ARTIFACTS
    page = (made.root / "results/eval_report/report.html").read_text()
    for name, digest in digests.items():
        assert name in NO_NUMBER_COMES_FROM or digest in page, name
    report = (made.root / "results/eval_report/report.json").read_text()
    assert all(name in NO_NUMBER_COMES_FROM or digest in report for name, digest in digests.items())
    schema = json.loads((made.root / "docs/eval_report.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(report))


def test_the_second_run_and_a_run_from_the_store_do_nothing(finished: tuple[Clone, Run]) -> None:
    made, _ = finished
    assert made.run("eval_report").nothing_done
    digests = made.digests()
    shutil.rmtree(made.root / "results")
    shutil.rmtree(made.root / ".snakemake")
    assert made.run("eval_report").nothing_done
    assert made.digests() == digests


def test_another_folder_gives_the_same_bytes(finished: tuple[Clone, Run], tmp_path: Path) -> None:
    """Everything but the evaluations of the other two models, by the same program, and the page with its own inputs.

    The other programs are forks of one that has imported NeMo, and those of the first graph are processes of their own.
    """
    made, _ = finished
    digests = made.digests()
    of_the_page = (
        "evaluation/base/",
        "evaluation/dapt/",
        "evaluation/tokenizer.",
        "tokenizer_panel",
        "eval_report",
        "contamination/",
    )
    left_out = [name for name in digests if name.startswith(of_the_page)]
    tasks = ("bits_per_byte.json", "instruction_answers/rtl.json")
    other = clone(tmp_path / "quite" / "another place")
    other.run("export/serve_check.json", *(f"results/.graph/evaluation/sft/{task}.sealed" for task in tasks))
    assert other.digests() == {name: digest for name, digest in digests.items() if name not in left_out}
    assert len(left_out) == 9


def test_a_sweep_trains_only_what_differs(finished: tuple[Clone, Run], tmp_path: Path) -> None:
    """One of the two variants is the configuration itself; its model and evaluations are there."""
    shutil.copytree(finished[0].root, tmp_path / "clone", symlinks=True)
    forked_steps.use(tmp_path / "clone")
    made, own = Clone(tmp_path / "clone"), "sweep/lr=0.0001"
    config = made.root / "tiny/config.yaml"
    text = config.read_text()
    config.write_text(f"{text}sweep: {{axes: {{sft.lr: [3.0e-3, 1.0e-4]}}}}\n")
    run = made.run("sweep")
    tasks = ("bits_per_byte.json", "instruction_answers/rtl.json")
    expected = [*(f"{own}/evaluation/sft/{task}" for task in tasks), f"{own}/sft/model", "sweep/report"]
    assert run.built == expected
    variants = json.loads((made.root / "results/sweep/report/report.json").read_text())["variants"]
    digests = made.digests()
    named = {name: variant["computed_from"] for name, variant in variants.items()}
    assert named["lr=0.003"]["sft/model"] == digests["sft/model"]
    assert named["lr=0.0001"][f"{own}/sft/model"] == digests[f"{own}/sft/model"] != digests["sft/model"]
    assert (made.root / f"logs/{own}/sft/model.log").is_file()
    config.write_text(f"{text}sweep: {{axes: {{sft.lr: [1.0e-4]}}}}\n")
    assert made.run("sweep").built == ["sweep/report"]
    assert made.run("eval_report").nothing_done


def test_no_artifact_knows_where_it_was_made(finished: tuple[Clone, Run]) -> None:
    made, _ = finished
    place = str(made.root).encode()
    for path in (made.root / "results").rglob("*"):
        if path.is_file():
            assert place not in path.read_bytes(), path


def test_a_dry_run_of_a_fresh_clone_shows_the_whole_plan(fresh: Clone) -> None:
    text = fresh.run("eval_report", "-n").text
    for name in ARTIFACTS:
        assert f"\n  {name} " in text
    assert not list((fresh.root / "results").glob("*.json"))


def test_one_changed_source_is_cut_off_where_its_bytes_end(fresh: Clone) -> None:
    target = "instruction_sets"
    first = fresh.run(target).built
    assert "sources/alpha" in first and "corpus/domain" not in first
    digest = fresh.digests()["instructions/rtl"]
    move = "import zipfile as z; p='tiny/alpha.zip'; o=z.ZipFile(p); f={n: o.read(n) for n in o.namelist()}; o.close()"
    write = "w=z.ZipFile(p,'w'); [w.writestr(z.ZipInfo(n), d + b'// end') for n, d in sorted(f.items())]; w.close()"
    subprocess.run([sys.executable, "-c", f"{move}; {write}"], cwd=fresh.root, check=True)
    run = fresh.run(target)
    assert run.built == ["instructions/rtl", "sources/alpha"]
    assert fresh.digests()["instructions/rtl"] == digest  # comments give no questions, so the rows are unchanged
    fresh.edit("tapeout/data/instructions/split.py", '"""', '"""Edited: ')
    assert fresh.run(target).nothing_done
