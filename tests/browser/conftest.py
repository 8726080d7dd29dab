"""The browser, and one small page of each kind, written by the library."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tapeout.report.comparison.document import Origin, ReportComparison, page
from tapeout.report.comparison.scores import compare_models
from tests.browser.pages import Opened, chromium, opened
from tests.inspection.conftest import model
from tests.report.comparison.test_comparison import TASK, log, write_side
from tests.report.data.test_page import write_contaminated
from tests.report.evaluation.conftest import TASKS, Make, Write, make_inputs, write_report
from tests.report.evaluation.test_multiple_choice import RATES
from tests.report.evaluation.test_multiple_choice import TASKS as CHOICE_TASKS
from tests.report.sweep.test_report import BITS, result, write_sweep

__all__ = ["make_inputs", "model", "write_report"]
Open = Callable[..., AbstractContextManager[Opened]]
WITH_SECTIONS = {
    **CHOICE_TASKS,
    **TASKS,
    "verilog_completion": ("verilog_completion", {}),
    "lm_eval": ("lm_eval", {"tasks": ["both", "text", "translated"], "source": "multiple_choice"}),
}
"""Tasks whose sections differ in kind: text, exact answers, completions and a harness."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def open_page(browser: Browser) -> Open:
    """Context manager of a page, with the arguments of ``pages.opened`` after the browser."""
    return partial(opened, browser)


@pytest.fixture(scope="session")
def evaluation_page(make_inputs: Make, write_report: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = make_inputs(RATES, tasks=WITH_SECTIONS)
    return write_report(files, tmp_path_factory.mktemp("evaluation") / "report") / "report.html"


@pytest.fixture(scope="session")
def data_page(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_contaminated(folder, model)
    return folder / "report.html"


@pytest.fixture(scope="session")
def sweep_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = {variant: result(bits) for variant, bits in BITS.items()}
    return write_sweep(tmp_path_factory.mktemp("sweep"), results) / "report.html"


@pytest.fixture(scope="session")
def comparison_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison")
    before, after = (
        replace(write_side(folder, f"{right}", range(right)), name=name, logs={"sft": log(lower)})
        for name, right, lower in (
            ("/a/long/path/of/a/copied/folder/with/the/report.json", 4, 0.0),
            ("results", 16, 0.5),
        )
    )
    changes = ["parameter lr: 1 → 2", f"input digest: {'0' * 64} → {'f' * 64}"]
    code = [f"tapeout/a_long_name_of_a_package/and_of_a_module_{number}.py: Class.method" for number in range(2)]
    artifact = "samples/continued_model_with_a_long_name/verilog_generation/rtl_problems/0.jsonl"
    idle = Origin(artifact, [], [], [])
    origin = Origin(artifact, changes, [f"row 3, prompt: {'a' * 400} → c"], [TASK], code)
    one = ReportComparison(before.name, after.name, 0.95, [origin, idle], compare_models(before, after))
    path = folder / "comparison.html"
    path.write_text(page([one]))
    return path


@pytest.fixture(scope="session")
def pages(evaluation_page: Path, data_page: Path, sweep_page: Path, comparison_page: Path) -> Mapping[str, Path]:
    return {
        **{"evaluation": evaluation_page, "data": data_page, "sweep": sweep_page},
        "comparison": comparison_page,
    }
