"""Section on what was measured: hours, rates and price follow from the builds, and the rest of the page stays."""

from typing import Any

import pytest

from tapeout.config.report import EvalReportJob
from tapeout.report.measured.page import Measured, OtherPage, price, rates, with_measured

pytestmark = pytest.mark.environment("data")
PLAN = {
    **{
        "section": "sft",
        "artifact": "sft/model",
        "tokens": 7_200,
        "gflop": 3_600,
        "gpu": None,
        "units": 2,
        "hours": 0.5,
    },
    **{"steps": 10, "global_batch_size": 10, "seq_length": 72, "lr": 0.003, "precision": "32"},
}
TRAINED = Measured("sft/model", "ab" * 32, "2026-01-01T00:00:00+00:00", 3600.0, 2, 0, "x86_64, 2 cores", 3_600.0)
ON_GPUS = Measured(
    "dapt/model", "cd" * 32, "2026-01-01T00:00:00+00:00", 1800.0, 64, 8, "nvidia h200", 9e6, 2e13, ("key ab",)
)
ELSEWHERE = Measured("base", "ef" * 32)
PAGE = '<ul><li><a href="#run-facts">Run facts</a></li></ul>\n<h2 id="run-facts">Run facts</h2> π'


def job(**changed: Any) -> EvalReportJob:
    return EvalReportJob.model_validate(
        {
            **{"adaptation": {}, "exported": "sft/model", "models": [("sft", "sft/model")], "tasks": []},
            **{"not_evaluated": [], "not_searched": [], "trained_on": ["a"], "held_out": ["b"], "general": []},
            **{"trainings": [PLAN], **changed},
        }
    )


def test_rates_are_work_divided_by_time() -> None:
    plans = job(trainings=[PLAN, {**PLAN, "artifact": "dapt/model", "gflop": 9_000_000}]).trainings
    cpu, gpu = rates(plans, [ELSEWHERE, TRAINED, ON_GPUS])
    assert (cpu.tokens, cpu.flops, cpu.mfu) == (2.0, 1e9, None)
    assert (gpu.tokens, gpu.flops, gpu.mfu) == (4.0, 5e12, 0.25)
    assert rates(plans, [ELSEWHERE]) == []


def test_price_is_of_threads_or_of_gpus() -> None:
    builds = [ELSEWHERE, TRAINED, ON_GPUS]
    assert (TRAINED.cpu_hours, TRAINED.gpu_hours, ON_GPUS.gpu_hours) == (2.0, 0.0, 4.0)
    assert price(job(price={"core_hour": 0.5, "gpu_hour": 2.0}), builds) == 9.0
    assert price(job(price={"core_hour": 0.5}), builds) is None
    assert price(job(price={"core_hour": 0.5}), [TRAINED]) == 1.0


def test_the_section_precedes_the_run_facts_and_changes_nothing_else() -> None:
    page = with_measured(PAGE, job(price={"core_hour": 0.5, "gpu_hour": 2.0}), [ELSEWHERE, TRAINED, ON_GPUS])
    begin, end = page.index('<h2 id="this-run">'), page.index('<h2 id="run-facts">')
    link = '<li><a href="#this-run">This run</a></li>'
    assert page[:begin].replace(link, "") + page[end:] == PAGE and page.count(link) == 1
    section = page[begin:end].replace("\u202f", " ")
    assert "2 of 3" in section and "9.00 USD" in section and "90.0 min" in section
    assert "<td>3600 s</td><td>2</td>" in section and "key ab" in section and "not in the journal" in section


@pytest.mark.parametrize("page", ["", PAGE + PAGE])
def test_page_of_another_version_is_an_error(page: str) -> None:
    with pytest.raises(OtherPage, match="no section on run facts"):
        with_measured(page, job(), [])
