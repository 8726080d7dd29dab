"""The nine experiments of ``benchmarks/nine_faults.py``: T1 to T7 and T9 of docs/faults.md.

The outcome must be right in Tapeout; one experiment must find plain Snakemake wrong.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.experiments import EXPERIMENTS, Experiment, Observation
from benchmarks.sides import Plain, Side, Tapeout, copied, make

BY_NUMBER = {experiment.number: experiment for experiment in EXPERIMENTS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """The project after its first run."""
    return make(Tapeout, tmp_path_factory.mktemp("nine") / "built")


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=list(BY_NUMBER))
def test_tapeout_is_right(experiment: Experiment, finished: Side, tmp_path: Path) -> None:
    seen = experiment.observe(copied(finished, tmp_path / "copy"))
    assert experiment.verdict(seen) == "right", seen


def test_the_same_experiment_finds_plain_snakemake_wrong(tmp_path: Path) -> None:
    experiment = BY_NUMBER["T1"]
    seen = experiment.observe(make(Plain, tmp_path / "plain"))
    assert seen == Observation((), "", ("model/params.json",))
    assert experiment.verdict(seen) == "wrong result"


def test_a_verdict_depends_on_the_observation() -> None:
    experiment, seen = BY_NUMBER["T1b"], Observation(("model", "report"), "parameter lr 1 3", ())
    assert experiment.verdict(seen) == "right"
    assert experiment.verdict(replace(seen, wrong=("report.txt",))) == "wrong result"
    assert experiment.verdict(replace(seen, ran=("model", "notes", "report"))) == "needless work"
    assert experiment.verdict(replace(seen, ran=("model",))) == "did not run"
    assert experiment.verdict(replace(seen, message="before: 1 now: 3")) == "not explained"
