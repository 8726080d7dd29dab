"""Models and tasks of the evaluation: options, names, inputs of the report, and the code that a task's step runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tapeout.config.root import Settings, load
from tapeout.config.wiring import Wiring
from tapeout.config.yaml_files import InvalidConfig
from tapeout.graph.identity.code import closure
from tests.config.test_root import default

ROOT = Path(__file__).parents[2]
TOY = "tests.toys.toy_task"
MODELS = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def settings(**evaluation: Any) -> Settings:
    return load({**default(), "evaluation": evaluation})


def parameters(found: Settings) -> dict[str, Any]:
    """Return the parameters of the report."""
    wiring = Wiring(found, lambda name, path="": name)
    return {name: value(SimpleNamespace()) for name, value in wiring.report_parameters.items()}


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"tasks": {"bits_per_byte": {"max_byts": 3}}}, "max_byts is unknown; did you mean max_bytes?"),
        ({"tasks": {"bits_per_byte": {"max_bytes": 0}}}, "evaluation.tasks.bits_per_byte.max_bytes"),
        ({"tasks": {"bits_per_bite": {}}}, "tasks: task bits_per_bite is unknown; did you mean bits_per_byte?"),
        ({"tasks": {"tests.toys": {}}}, "the module tests.toys has no TASK"),
        ({"models": {"base": "base"}}, "adaptation.pretrained names dapt, which is not one of the models (base)"),
        ({"models": {"a/b": "base"}}, "evaluation.models"),
        *(
            ({"models": {**MODELS, "x": name}}, "evaluation.models.x")
            for name in ("", "a{b}", "../base", "/base", "a/")
        ),
        ({"max_rows": 3}, "evaluation.max_rows is now evaluation.tasks.instruction_answers.max_rows"),
    ],
)
def test_mistakes_are_named(evaluation: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig) as found:
        settings(**evaluation)
    assert message in str(found.value)


def test_a_fourth_model_is_one_entry_of_the_configuration() -> None:
    found = settings(models={**MODELS, "lora": "lora/model"})
    assert ("lora", "instruction_answers") in found.evaluation.results and len(found.evaluation.results) == 8
    assert parameters(found)["models"][-1] == ["lora", "lora/model"]


def test_a_task_from_outside_is_one_entry_of_the_configuration() -> None:
    found = settings(tasks={"bits_per_byte": {}, TOY: {"rows": 2}})
    assert found.evaluation.files(TOY) == {"text": ("corpus/general", "test.jsonl")}
    assert parameters(found)["tasks"][-1] == [TOY, {"rows": 2}]
    assert parameters(found)["plugins"] == ["tapeout.evals.tasks.bits_per_byte", TOY]


def test_the_prompt_template_is_a_parameter_of_tasks_that_ask_questions() -> None:
    found = settings().evaluation
    assert [found.job(task, "template").template for task in found.tasks] == ["", "template"]


def test_the_step_of_a_task_depends_on_the_code_of_no_other_task() -> None:
    tasks = settings().evaluation.modules(["bits_per_byte", "instruction_answers"])
    files = [f"{task.replace('.', '/')}.py" for task in tasks]
    for own, other in (0, 1), (1, 0):
        code = closure(ROOT / "scripts/evaluate.py", ROOT, [tasks[own]])
        assert files[own] in code and files[other] not in code
    report = closure(ROOT / "scripts/eval_report.py", ROOT, tasks)
    assert set(files) < report.keys()
