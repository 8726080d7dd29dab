"""Models and tasks of the evaluation: options, names, inputs of the report, and the code that a task's step runs."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tapeout.config.computation import Computation
from tapeout.config.evaluation import may_be_model
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.report_wiring import ReportWiring
from tapeout.config.root import Settings
from tapeout.config.wiring import Wiring
from tapeout.costs.estimates import Estimates
from tapeout.evals.tasks.verilog_generation import VerilogGenerationTask
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


def wiring(found: Settings) -> Wiring:
    return Wiring(found, lambda name, path="": name)


def parameters(found: Settings) -> dict[str, Any]:
    """Return the parameters of the report."""
    return {name: value(SimpleNamespace()) for name, value in ReportWiring(wiring(found)).parameters().items()}


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"tasks": {"bits_per_byte": {"max_byts": 3}}}, "max_byts is unknown; did you mean max_bytes?"),
        ({"tasks": {"bits_per_byte": {"max_bytes": 0}}}, "evaluation.tasks.bits_per_byte.max_bytes"),
        ({"tasks": {"bits_per_bite": {}}}, "tasks: task bits_per_bite is unknown; did you mean bits_per_byte?"),
        ({"tasks": {"tests.toys": {}}}, "the module tests.toys has no TASK"),
        ({"models": {"base": "base"}}, "adaptation.pretrained names dapt, which is not one of models (base)"),
        ({"models": {"a/b": "base"}}, "evaluation.models"),
        *(
            ({"models": {**MODELS, "x": name}}, "evaluation.models.x")
            for name in ("", "a{b}", "../base", "/base", "a/")
        ),
        *(
            ({"models": {**MODELS, "x": name}}, f"models.x names {name}, not a model folder")
            for name in ("corpus/domain", "tokenizer", "gates.json", "encoded/rtl", "nemo/base.nemo")
        ),
        (
            {"models": dict(reversed(MODELS.items()))},
            "models are not in the order of the adaptation: base, dapt",
        ),
        ({"sets": ["dolly"]}, "evaluation.sets names dolly, which instructions.sets does not have"),
        ({"sets": ["questions"]}, "evaluation.sets names questions, which has no test rows"),
        ({"tasks": {"multiple_choice": {"seeds": [3, 3]}}}, "seeds names a seed twice"),
        ({"tasks": {"multiple_choice": {"scoring": "words"}}}, "evaluation.tasks.multiple_choice.scoring"),
        (
            {"tasks": {"multiple_choice": {"source": "multiple_choices"}}},
            "evaluation.tasks.multiple_choice names the source multiple_choices, which no sources file has",
        ),
        ({"tasks": {"instruction_answers": {"data": "x"}}}, "name the sets under evaluation.sets"),
        ({"max_rows": 3}, "evaluation.max_rows is now evaluation.tasks.instruction_answers.max_rows"),
    ],
)
def test_mistakes_are_named(evaluation: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig) as found:
        settings(**evaluation)
    assert message in str(found.value)


def test_every_artifact_of_the_rules_is_a_model_or_not() -> None:
    rules = "".join(path.read_text() for path in sorted(Path("rules").glob("*.smk")))
    artifacts = set(re.findall(r'sealed\("([^"]+)"', rules))
    models = {"base", "base_extended", "dapt/model", "sft/model", "dpo/model", "{method}/merged"}
    models |= {"export/hf", "sources/{source}"}
    assert models <= artifacts and {name for name in artifacts if may_be_model(name)} == models


def test_a_fourth_model_is_one_entry_of_the_configuration() -> None:
    found = settings(models={**MODELS, "lora": "lora/model"})
    assert ("lora", "instruction_answers/rtl") in ReportWiring(wiring(found)).evaluated and len(
        ReportWiring(wiring(found)).evaluated
    ) == 16
    assert parameters(found)["models"][-1] == ["lora", "lora/model"]


def test_a_task_from_outside_is_one_entry_of_the_configuration() -> None:
    found = settings(tasks={"bits_per_byte": {}, TOY: {"rows": 2}})
    assert found.evaluations[TOY].files == {"text": ("corpus/general", "test.jsonl")}
    assert parameters(found)["tasks"][-1] == [TOY, TOY, {"rows": 2}]
    assert parameters(found)["plugins"] == ["tapeout.evals.tasks.bits_per_byte", TOY]


def test_the_encoding_is_a_parameter_of_tasks_that_ask_questions() -> None:
    found = settings()
    runs = list(found.evaluations.values())
    jobs = [run.job(Computation(), found.encoding()) for run in runs if not run.is_sampled]
    assert [job.encoding for job in jobs] == [None, found.encoding(), None]
    assert runs[-1].samples_job(Computation(), found.encoding()).encoding == found.encoding()


def test_what_computes_is_a_parameter_and_decides_the_environment() -> None:
    of_task = SimpleNamespace(task="verilog_generation/rtl_problems", model="base")
    seen = []
    changes: list[dict[str, Any]] = [{}, {"dtype": "bfloat16"}, {"gpu_model": "NVIDIA H200"}, {"threads": 1}]
    for given in changes:
        found = wiring(settings(**given))
        jobs = {name: value for name, value in found.samples_parameters.items() if name in Computation.model_fields}
        assert jobs.keys() == Computation.model_fields.keys()
        seen.append({name: value(of_task) for name, value in jobs.items()})
        assert found.evaluation_environment.endswith("cuda.yaml" if "gpu_model" in given else "nemo.yaml")
    assert seen == [Computation(**given).model_dump() for given in changes]


SETS: dict[str, Any] = {
    "dolly": {"format": "prompt_response", "sources": ["ibex"]},
    "chats": {"format": "messages", "sources": ["django"], "split": {"test": 0.1}},
    "own": {"format": "prompt_response", "sources": ["cv32e40p"], "split": {"test": 0}},
    "benchmark": {"format": "squad", "sources": ["blackparrot"]},
}


def test_the_second_simulator_depends_on_the_configuration_alone() -> None:
    for problems, version in (({}, None), ({"icarus": "11.0"}, "11.0")):
        jobs = wiring(settings(problems={"rtl_problems": problems})).checked_parameters
        assert jobs["icarus"](SimpleNamespace(problems="rtl_problems")) == version
    with pytest.raises(InvalidConfig, match=r"evaluation.problems.rtl_problems.icarus"):
        settings(problems={"rtl_problems": {"icarus": 11.0}})


def test_default_tasks_without_their_source_are_left_out_and_named_ones_are_errors(tmp_path: Path) -> None:
    """A sources file of a user need not list the questions and problems of this project."""
    sources = yaml.safe_load(Path("config/sources.yaml").read_text())
    every = ["bits_per_byte", "instruction_answers", "multiple_choice", "verilog_generation"]
    for missing in ("multiple_choice", "rtl_problems"):
        own = {name: record for name, record in sources.items() if name != missing}
        path = tmp_path / f"{missing}.yaml"
        path.write_text(yaml.safe_dump(own))
        given = {**default(), "sources": str(path)}
        left_out = {"multiple_choice": "multiple_choice", "rtl_problems": "verilog_generation"}[missing]
        assert list(load(given).evaluation.tasks) == [name for name in every if name != left_out]
        with pytest.raises(InvalidConfig, match=f"names the source {missing}, which no sources file has"):
            load({**given, "evaluation": {"tasks": {left_out: {}}, "problems": {"rtl_problems": {}}}})
    assert list(settings().evaluation.tasks) == every


def test_a_task_about_designs_runs_once_for_each_problem_set() -> None:
    found = settings(problems={"rtl_problems": {}, "serv": {"format": "folder"}}, tasks={"verilog_generation": {}})
    assert list(found.evaluations) == ["verilog_generation/rtl_problems", "verilog_generation/serv"]
    assert found.evaluation.used_problems == ["rtl_problems", "serv"]
    assert {"serv", "rtl_problems"} <= set(found.used_sources)
    with pytest.raises(InvalidConfig, match="names the source mine, which no sources file has"):
        settings(problems={"mine": {}}, tasks={"verilog_generation": {}})
    assert settings(tasks={"bits_per_byte": {}}).evaluation.used_problems == []
    with pytest.raises(InvalidConfig, match="name the sets under evaluation.problems"):
        settings(tasks={"verilog_generation": {"problems": "x"}})
    with pytest.raises(InvalidConfig, match="evaluation.problems"):
        settings(problems={"rtl_problems": {"format": "unheard_of"}})


@pytest.mark.parametrize(
    ("sets", "evaluated", "not_evaluated"),
    [
        (None, ["rtl", "dolly", "chats"], ["own"]),
        (["chats", "benchmark"], ["chats", "benchmark"], ["dolly", "own", "rtl"]),
        ([], [], ["chats", "dolly", "own", "rtl"]),
    ],
)
def test_test_rows_of_every_trained_set_are_evaluated(
    sets: list[str] | None, evaluated: list[str], not_evaluated: list[str]
) -> None:
    """Each set with test rows is one task of each model, one input of the report and one line of the plan's cost."""
    rtl = {"format": "rtl", "cores": {"train": ["cva5"], "test": ["serv"]}}
    instructions = {"sets": {"rtl": rtl, **SETS}, "train": ["rtl", "dolly", "chats", "own"]}
    domain = {"train": ["ibex"], "test": ["picorv32"]}
    given = {**default(), "instructions": instructions, "evaluation": {"sets": sets}}
    found = load({**given, "corpus": {**default()["corpus"], "domain": domain}})
    names = [f"instruction_answers/{name}" for name in evaluated]
    assert list(found.evaluations) == ["bits_per_byte", *names, "multiple_choice", "verilog_generation/rtl_problems"]
    assert [run.files for run in found.evaluations.values()][1:-2] == [
        {"questions": (f"instructions/{name}", "test.jsonl")} for name in evaluated
    ]
    assert len(ReportWiring(wiring(found)).evaluated) == 3 * (3 + len(evaluated))
    assert parameters(found)["not_evaluated"] == not_evaluated
    assert {f"instructions/{name}" for name in evaluated} <= set(ReportWiring(wiring(found)).upstream)
    assert all(Estimates(found).evaluation_gflop(name) > 0 for name in names)


def test_the_step_of_a_task_depends_on_the_code_of_no_other_task() -> None:
    tasks = [run.module for run in settings().evaluations.values()]
    files = [f"{task.replace('.', '/')}.py" for task in tasks]
    for own, other in (0, 1), (1, 2), (2, 0):
        code = closure(ROOT / "scripts/evaluate.py", ROOT, [tasks[own]])
        assert files[own] in code and files[other] not in code
    report = closure(ROOT / "scripts/eval_report.py", ROOT, tasks)
    assert set(files) < report.keys()


def test_the_report_names_training_text_that_is_not_searched_for_test_data() -> None:
    given = {**default(), "methods": {"dpo": {"sources": ["ibex"], "max_steps": 30, "warmup_steps": 3, "lr": 1e-4}}}
    for artifact, exported in (("dpo/model", "sft/model"), ("export/hf", "dpo/model")):
        models = {"models": {**MODELS, "last": artifact}}
        found = load({**given, "evaluation": models, "export": {"model": exported}})
        assert parameters(found)["not_searched"] == ["ibex"]
    assert parameters(load(given))["not_searched"] == [], "no evaluated model has seen the pairs"


def test_answers_depend_on_no_option_and_no_code_of_judging_and_of_the_report() -> None:
    """The plan generates no answer again after such a change."""
    judging = {"pass_at": [1], "permit_no_isolation": True}
    made, changed = (
        next(iter(settings(tasks={"verilog_generation": options}).evaluations.values())) for options in ({}, judging)
    )
    encoding = settings().encoding()
    assert made.judge_job != changed.judge_job
    assert made.samples_job(Computation(), encoding) == changed.samples_job(Computation(), encoding)
    for option in ({"temperature": 0.5}, {"seed": 1}, {"samples": 4}, {"max_new_tokens": 9}, {"top_p": 0.5}):
        other = next(iter(settings(tasks={"verilog_generation": option}).evaluations.values()))
        assert other.samples_job(Computation(), encoding) != made.samples_job(Computation(), encoding)
    code = closure(ROOT / "scripts/samples.py", ROOT, [made.sampler])
    assert "tapeout/evals/design_prompts.py" in code
    judges = ("evals/designs", "evals/design_section", "evals/pass_at_k", "evals/tasks/verilog_generation")
    simulates = ("ladder", "forbidden", "verilator", "containment", "contained", "extraction", "checked", "simulator")
    names = [*judges, *(f"simulation/{name}" for name in simulates)]
    files = {f"tapeout/{name}.py" for name in names}
    assert not files & code.keys()
    assert files <= closure(ROOT / "scripts/judge.py", ROOT, [made.module]).keys()
    assert made.sampler_files(3) == {"prompts": ("problems/rtl_problems", "prompts/3.jsonl")}


def test_a_task_in_two_steps_names_the_module_of_its_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    for sampler, message in (
        ("design_prompts", "is not a task in two steps"),
        ("tapeout.evals.samples", "the module tapeout.evals.samples has no SAMPLER"),
        ("tapeout.evals.unheard_of", "sampler tapeout.evals.unheard_of is unknown"),
    ):
        monkeypatch.setattr(VerilogGenerationTask, "sampler", sampler)
        with pytest.raises(InvalidConfig, match=message):
            settings(tasks={"verilog_generation": {}})


def test_the_report_names_the_text_that_was_trained_on() -> None:
    assert parameters(settings())["trained_on"] == ["blackparrot", "cv32e40p", "ibex"]
    assert parameters(settings())["general"] == ["django"]
    sharded = {"components": {"text": {"sources": ["ibex"], "weight": 1}}}
    found = load({**default(), "dapt": {"reads": "pretraining"}, "pretraining": sharded})
    assert (parameters(found)["trained_on"], parameters(found)["general"]) == (["ibex"], [])
    assert {"pretraining/blend.json", "pretraining/documents/ibex"} <= set(ReportWiring(wiring(found)).upstream)
    assert "pretraining/blend.json" not in ReportWiring(wiring(settings())).upstream


LM_EVAL = {"tasks": ["arc_easy"], "datasets": {"allenai/ai2_arc": "questions"}}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": []}, "evaluation.tasks.lm_eval: tasks is empty"),
        ({"tasks": ["a", "a"]}, "tasks names a task twice"),
        ({"tasks": ["a b"]}, "evaluation.tasks.lm_eval.tasks"),
        ({"datasets": {}}, "neither source nor datasets is given"),
        ({"source": "nowhere"}, "nowhere"),
    ],
)
def test_tasks_of_lm_eval_need_names_and_data(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig) as found:
        settings(tasks={"lm_eval": {**LM_EVAL, **changed}})
    assert message in str(found.value)


def test_a_task_with_an_environment_of_its_own_runs_in_a_rule_apart() -> None:
    found = wiring(settings(tasks={"bits_per_byte": {}, "verilog_generation": {}, "lm_eval": LM_EVAL}))
    names = ("bits_per_byte", "verilog_generation/rtl_problems", "lm_eval")
    patterns = (found.scored_tasks(apart=False), found.sampled_tasks, found.scored_tasks(apart=True))
    assert [[name for name in names if re.fullmatch(pattern, name)] for pattern in patterns] == [[n] for n in names]
    assert found.scoring_environment(SimpleNamespace(task="lm_eval")) == "../envs/lm_eval.yaml"
    assert found.settings.evaluations["lm_eval"].sources == ["questions"]
    assert found.settings.evaluations["bits_per_byte"].environment == "nemo"


def test_a_task_with_an_environment_of_its_own_computes_on_the_cpu() -> None:
    given = settings(gpu_model="NVIDIA H200", dtype="bfloat16", tasks={"bits_per_byte": {}, "lm_eval": LM_EVAL})
    runs, encoding = given.evaluations, given.encoding()
    jobs = {name: run.job(given.evaluation.computation, encoding) for name, run in runs.items()}
    assert {name: (job.gpu_model, job.dtype) for name, job in jobs.items()} == {
        "bits_per_byte": ("NVIDIA H200", "bfloat16"),
        "lm_eval": (None, "bfloat16"),
    }
