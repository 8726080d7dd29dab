"""Planned trainings: FLOP and hours of the same model as ``tapeout cost``, for CPU threads and for GPUs."""

from typing import Any

import pytest

from tapeout.config.load import load
from tapeout.costs.planned import planned_trainings
from tapeout.costs.table import CostTable
from tapeout.graph.plan import rates
from tests.config.test_root import default

GPUS = {"layout": {"accelerator": "gpu", "gpu_model": "NVIDIA H200", "devices": 8}, "global_batch_size": 64}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(request.config.rootpath)


@pytest.mark.parametrize(
    ("given", "artifacts", "units"),
    [
        ({}, {"dapt": "dapt/model", "sft": "sft/model"}, [2, 2]),
        ({"dapt": GPUS}, {"dapt": "dapt/model", "sft": "sft/model"}, [8, 2]),
        (
            {"tokenizer": {"new_pieces": 0}, "methods": {"lora": {}}, "export": {"model": "lora/merged"}},
            {"methods.lora": "lora/merged"},
            [2],
        ),
    ],
)
def test_every_training_of_the_exported_model_is_planned(
    given: dict[str, Any], artifacts: dict[str, str], units: list[int]
) -> None:
    settings = load({**default(), **given})
    found = planned_trainings(settings, rates.assumed)
    assert {one.section: one.artifact for one in found} == artifacts
    assert [one.units for one in found] == units
    for one in found:
        assert one.gflop == CostTable(settings)(one.section.rpartition(".")[2], {})["gflop"]
        rate = rates.CORE_RATE if one.gpu is None else rates.GPUS["h200"].rate
        assert one.hours == pytest.approx(one.gflop * 1e9 / rate / 3600, abs=1e-6)
