"""Tasks of lm-eval: scores of its own Hugging Face backend, scores from the saved result, and errors with names."""

import json
import math
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.evals.harness_data import MissingDataset
from tapeout.evals.harness_folder import CodeInTask, UnusableTask
from tapeout.evals.harness_model import UnsupportedRequest
from tapeout.evals.harness_result import Harness
from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.task import read_result, write_result
from tapeout.evals.tasks.lm_eval import TASK
from tapeout.graph.identity.environment import read_environment
from tests.evals.harness_material import CHOICE, CHOICES, NAMES, write_folder

pytestmark = pytest.mark.environment("lm_eval")

ROOT = Path(__file__).parents[2]


def score(model: LoadedModel, folder: Path, *names: str, **options: Any) -> Harness:
    files = {"tasks": folder, **{f"data {name}": folder.parent / name for name in options.get("datasets", {})}}
    return TASK.score(model, files, TASK.options.model_validate({"tasks": names, "source": "tasks", **options}))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("harness") / "tasks")


@pytest.fixture(scope="module")
def found(model: LoadedModel, tasks: Path) -> Harness:
    return score(model, tasks, *NAMES)


@pytest.fixture(scope="module")
def reference(folder: Path, tasks: Path) -> dict[str, Any]:
    """Return the results of lm-eval alone, with its own backend."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, LlamaTokenizer

    backend = HFLM(
        pretrained=AutoModelForCausalLM.from_pretrained(folder),
        tokenizer=LlamaTokenizer(str(folder / "tokenizer.model"), legacy=False),
        device="cpu",
        batch_size=2,
        add_bos_token=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tasks)  # which its data files are relative to
        manager = TaskManager(include_path=str(tasks), include_defaults=False)
        result: dict[str, Any] = lm_eval.simple_evaluate(
            backend, tasks=list(NAMES), task_manager=manager, bootstrap_iters=1000
        )
    return result


def test_scores_equal_those_of_lm_eval(found: Harness, reference: dict[str, Any]) -> None:
    assert [task.name for task in found.tasks] == sorted(reference["samples"])
    for task in found.tasks:
        other = reference["results"][task.name]
        assert {metric.key for metric in task.metrics} == {
            key for key in other if "," in key and not key.partition(",")[0].endswith("_stderr")
        }
        for metric in task.metrics:
            assert metric.value == pytest.approx(other[metric.key], rel=1e-4, abs=1e-4)
            stderr = other[f"{metric.name}_stderr,{metric.filter}"]
            assert metric.stderr == (None if stderr == "N/A" else pytest.approx(stderr, rel=1e-3, abs=1e-4))
        assert task.shots == reference["n-shot"][task.name]
        assert task.version == str(reference["versions"][task.name])
        assert task.in_task == len(task.documents) == reference["n-samples"][task.name]["effective"]
    (group,) = found.groups
    assert group.value == pytest.approx(reference["groups"]["both"]["acc,none"], abs=1e-4) and not group.weighted
    assert group.stderr == pytest.approx(reference["groups"]["both"]["acc_stderr,none"], abs=1e-4)


def test_responses_equal_those_of_lm_eval(found: Harness, reference: dict[str, Any]) -> None:
    """Log-likelihoods agree to 0.0001, answers in every character; also texts longer than the context."""
    compared = 0
    for task in found.tasks:
        samples = {one["doc_id"]: one for one in reference["samples"][task.name]}
        for number, document in enumerate(task.documents):
            others = [response for responses in samples[number]["resps"] for response in responses]
            for own, other in zip(document.responses, others, strict=True):
                if isinstance(other, tuple):
                    assert own == [pytest.approx(other[0], abs=1e-4), other[1]]
                else:
                    assert own == (other if isinstance(other, str) else pytest.approx(other, rel=1e-5, abs=1e-4))
                compared += 1
    assert compared == 3 * (5 + 2) + 3 + 3 + 3


def test_scores_are_reproduced_from_the_saved_result(found: Harness, tmp_path: Path, model: LoadedModel) -> None:
    write_result(tmp_path / "result.json", model.facts, found)
    _, saved = read_result(tmp_path / "result.json", Harness)
    assert saved == found
    options = TASK.options.model_validate({"tasks": NAMES, "source": "tasks"})
    measures = {measure.name: (measure, units) for measure, units in TASK.measure(saved, options)}
    checked = set()
    for task in saved.tasks:
        for metric in task.metrics:
            if metric.aggregation == "other":
                assert metric.name == "chrf"
                continue
            name = f"lm_eval.{task.name}.{metric.name}"
            measure, units = measures[name]
            value = sum(unit.numerator for unit in units) / sum(unit.denominator for unit in units)
            expected = math.log(metric.value) if metric.name.endswith("perplexity") else metric.value
            assert value == pytest.approx(expected, abs=1e-4)
            assert measure.lower_is_better == (not metric.higher_is_better) and measure.data == "sources/tasks"
            checked.add(name)
    (group,) = saved.groups
    _, units = measures["lm_eval.both.acc"]
    assert sum(one.numerator for one in units) / sum(one.denominator for one in units) == pytest.approx(group.value)
    assert len(units) == 7 and checked | {"lm_eval.both.acc"} == set(measures)


def test_texts_have_the_digests_of_the_documents(found: Harness, tasks: Path) -> None:
    """So that the report searches for them in the training text."""
    options = TASK.options.model_validate({"tasks": NAMES, "source": "tasks"})
    texts = TASK.texts({"tasks": tasks}, options)
    units = [unit for _, units in TASK.measure(found, options) for unit in units]
    assert units and all(unit.digest.partition("/")[0] in texts for unit in units)
    assert any("Which word ends module?" in text for text in texts.values())


def test_a_result_depends_on_its_options_alone(model: LoadedModel, found: Harness, tasks: Path, tmp_path: Path) -> None:
    """Not on the folder; shots, their seed and the number of documents have an effect."""
    assert score(model, write_folder(tmp_path / "elsewhere"), *NAMES) == found
    own = next(task for task in found.tasks if task.name == "rtl_choice")
    for options in ({"shots": 2}, {"seed": 3}):
        (other,) = score(model, tasks, "rtl_choice", **options).tasks
        assert [one.digest for one in other.documents] == [one.digest for one in own.documents]
        assert [one.responses for one in other.documents] != [one.responses for one in own.documents]
    (first,) = score(model, tasks, "rtl_choice", max_documents=2).tasks
    assert first.documents == own.documents[:2] and first.in_task == 5
    (short,) = score(model, tasks, "rtl_write", default_answer_tokens=3, generation_batch_rows=1).tasks
    assert short == next(task for task in found.tasks if task.name == "rtl_write"), "the task states its own limit"


def test_prompts_that_do_not_fit_lose_their_beginning_and_are_counted(model: LoadedModel, tasks: Path) -> None:
    (task,) = score(model, tasks, "rtl_choice", shots=2).tasks
    assert task.truncated == 15
    (task,) = score(model, tasks, "rtl_next").tasks
    assert task.truncated == 0


def test_versions_are_recorded(found: Harness) -> None:
    assert found.version == read_environment("lm_eval", ROOT).packages["lm-eval"]
    assert {task.name: task.version for task in found.tasks}["few_choices"] == "1.5"
    assert len({task.config for task in found.tasks}) == len(found.tasks)


def test_data_sets_of_sources(model: LoadedModel, tmp_path: Path) -> None:
    """A folder with the layout of the Hub, of which a task names a configuration."""
    folder, data = tmp_path / "tasks", tmp_path / "team/questions"
    folder.mkdir()
    (data / "small").mkdir(parents=True)
    (data / "small/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CHOICES[:2]))
    files = [{"split": "test", "path": "small/test.jsonl"}]
    header = yaml.safe_dump({"configs": [{"config_name": "small", "data_files": files}]})
    (data / "README.md").write_text(f"---\n{header}---\n")
    changed = {"training_split": None, "fewshot_split": None, "num_fewshot": 0, "dataset_kwargs": None}
    task = {**CHOICE, **changed, "dataset_path": "team/questions", "dataset_name": "small"}
    (folder / "one.yaml").write_text(yaml.safe_dump(task))
    options = {"datasets": {"team/questions": "questions"}}
    (scored,) = score(model, folder, "rtl_choice", **options).tasks
    assert len(scored.documents) == 2 and scored.data_set == "team/questions"
    given = TASK.options.model_validate({"tasks": ["rtl_choice"], "source": "tasks", **options})
    assert given.artifact(scored.data_set) == "sources/questions"
    with pytest.raises(MissingDataset, match="team/questions of the task rtl_choice of lm-eval is in no source"):
        score(model, folder, "rtl_choice")
    (data / "questions.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(CodeInTask, match=r"has a script, questions\.py, which is not run"):
        score(model, folder, "rtl_choice", **options)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ("doc_to_text: !function tools.prompt\n", CodeInTask, "has !function in line 1; a source is data"),
        ("include: ../other.yaml\n", UnusableTask, r"names \.\./other.yaml, which is not in its source"),
        ("task: [\n", UnusableTask, "cannot be read: while parsing a flow node"),
        ({"unsafe_code": True}, CodeInTask, r"runs code that a model writes \(unsafe_code\)"),
        ({"dataset_path": "team/other"}, MissingDataset, "The data set team/other"),
        ({"dataset_path": "pandas"}, MissingDataset, "The data set pandas"),
        ({"dataset_kwargs": {"data_files": "/etc/passwd"}}, UnusableTask, "names /etc/passwd, which is not"),
        ({"dataset_kwargs": {"data_files": "hf://a/b"}}, UnusableTask, "names hf://a/b, which is not"),
        ({"dataset_kwargs": {"data_files": "data/none.jsonl"}}, UnusableTask, "cannot be loaded"),
        ({"test_split": "exam"}, UnusableTask, "cannot be loaded: .*exam"),
        ({"doc_to_text": "{{nothing}}"}, UnusableTask, "'nothing' is undefined"),
        ({"doc_to_text": "{{ ''.__class__.__mro__ }}"}, UnusableTask, "unsafe"),
        ({"doc_to_choice": None}, UnusableTask, "cannot be scored"),
        ({"metric_list": [{"metric": "rmse"}]}, UnusableTask, "The metric rmse of the task rtl_choice"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, UnusableTask, "The metric acc of the task"),
        ("<<: {include: ../other.yaml}\ntask: rtl_choice\n", UnusableTask, r"names \.\./other.yaml, which is not in"),
        ("task: rtl_choice\nprocess_docs: !!python/name:os.system\n", CodeInTask, "python/name:os.system in line 2"),
        ({"use_prompt": "/tmp/outside.yaml:p"}, UnusableTask, "The prompt /tmp/outside.yaml:p"),
        ({"dataset_kwargs": "x"}, UnusableTask, "dataset_kwargs of the task rtl_choice of lm-eval is no mapping"),
        ({"dataset_kwargs": None}, UnusableTask, "names no files"),
        ({"dataset_kwargs": {"data_files": "data/few.jsonl", "cache_dir": "x"}}, UnusableTask, "has cache_dir"),
        ({"metric_list": ["acc"]}, UnusableTask, "metric_list of the task rtl_choice of lm-eval is not a list"),
        ({"metric_list": "acc"}, UnusableTask, "metric_list of the task rtl_choice of lm-eval is not a list"),
        (
            {"filter_list": [{"name": "x", "filter": [{"function": "regex", "regex_pattern": "("}]}]},
            UnusableTask,
            "unterminated subpattern",
        ),
        (
            {
                **{"output_type": "generate_until", "doc_to_choice": None, "num_fewshot": 0},
                "generation_kwargs": {"do_sample": True, "until": []},
            },
            UnsupportedRequest,
            "samples answers",
        ),
    ],
)
def test_errors_have_names(
    model: LoadedModel, tmp_path: Path, changed: str | dict[str, Any], error: type[Exception], words: str
) -> None:
    folder = write_folder(tmp_path / "tasks")
    text = changed if isinstance(changed, str) else yaml.safe_dump({**CHOICE, "metric_list": None, **changed})
    (folder / "choice.yaml").write_text(text)
    (folder / "few.yaml").unlink()
    with pytest.raises(error, match=words):
        score(model, folder, "rtl_choice")


@pytest.mark.parametrize(
    ("members", "error", "words"),
    [
        (["outer"], UnusableTask, "cannot be loaded: maximum recursion depth"),
        ([{"task": "rtl_choice", "unsafe_code": True}], CodeInTask, "code that a model writes"),
        ([{"task": "rtl_choice", "metric_list": [{"metric": "./data/m"}]}], UnusableTask, r"The metric \./data/m"),
        (
            [{"task": "rtl_choice", "dataset_path": "pandas"}],
            MissingDataset,
            "The data set pandas of the task rtl_choice",
        ),
        (
            [{"task": "rtl_choice", "dataset_path": "scripts", "dataset_kwargs": {"trust_remote_code": True}}],
            CodeInTask,
            r"has a script, scripts\.py, which is not run",
        ),
        (  # the index of lm-eval's own tasks, which only the inner member needs, takes some seconds
            [{"group": "inner", "task": [{"task": "arc_easy", "dataset_path": "pandas"}]}],
            MissingDataset,
            "The data set pandas of the task arc_easy of",
        ),
    ],
)
def test_members_of_groups_are_checked_at_any_depth(
    model: LoadedModel, tmp_path: Path, members: list[Any], error: type[Exception], words: str
) -> None:
    folder = write_folder(tmp_path / "tasks")
    (folder / "scripts").mkdir()
    (folder / "scripts/scripts.py").write_text("raise SystemExit('run')\n")
    (folder / "outer.yaml").write_text(yaml.safe_dump({"group": "outer", "task": members}))
    with pytest.raises(error, match=words):
        score(model, folder, "outer")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_task_has_one_configuration_in_any_order(model: LoadedModel, tmp_path: Path, reverse: bool) -> None:
    folder = write_folder(tmp_path / "tasks")
    (folder / "zero.yaml").write_text(
        yaml.safe_dump({"group": "zero", "task": [{"task": "rtl_choice", "num_fewshot": 0}]})
    )
    names = ("zero", "both")
    with pytest.raises(UnusableTask, match="rtl_choice of lm-eval has different configurations"):
        score(model, folder, *(reversed(names) if reverse else names))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.md": "../../outside.jsonl"}, r"names \.\./\.\./outside.jsonl, which is not in its source"),
        ({"README.md": "http://127.0.0.1:1/x.jsonl"}, "names http://127.0.0.1:1/x.jsonl, which is not in its source"),
        ({"test.tar": None}, "is read as webdataset"),
    ],
)
def test_data_folders_read_their_own_text_alone(
    model: LoadedModel, tmp_path: Path, files: dict[str, str | None], words: str
) -> None:
    folder = write_folder(tmp_path / "tasks")
    (tmp_path / "outside.jsonl").write_text("{}\n")
    (folder / "rows").mkdir()
    for name, path in files.items():
        if path is None:
            with tarfile.open(folder / "rows" / name, "w") as archive:
                archive.add(folder / "data/few.jsonl", "000.pickle")
        else:
            header = {"configs": [{"config_name": "default", "data_files": [{"split": "test", "path": path}]}]}
            (folder / "rows" / name).write_text(f"---\n{yaml.safe_dump(header)}---\n")
    task = {**CHOICE, "dataset_path": "rows", "dataset_kwargs": None, "training_split": None, "fewshot_split": None}
    (folder / "choice.yaml").write_text(yaml.safe_dump({**task, "num_fewshot": 0}))
    (folder / "few.yaml").unlink()
    with pytest.raises(UnusableTask, match=words):
        score(model, folder, "rtl_choice")
