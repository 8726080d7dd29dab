"""Faults F59 to F67 of docs/faults.md: the published evaluation that never ran, and what takes its place here."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tapeout.config.computation import Computation
from tapeout.config.load import load as load_settings
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.evals.answers import Answer, Options, answer_questions, score_answers
from tapeout.evals.loaded_model import LoadedModel, load
from tapeout.evals.questions import Question, encode_questions
from tapeout.evals.tasks.instruction_answers import TASK
from tests.config.test_root import default
from tests.evals.test_evaluate import data, evaluate, score, write_rows

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
__all__ = ["data"]


def settings(**evaluation: Any) -> Settings:
    return load_settings({**default(), "evaluation": evaluation})


@pytest.mark.parametrize("sets", ["rtl", "test.jsonl", {"rtl": "test.jsonl"}])
def test_f59_one_name_in_place_of_a_list_is_refused_when_the_configuration_is_read(
    sets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InvalidConfig, match=r"evaluation\.sets"):
        settings(sets=sets)
    assert settings(sets=["rtl"]).evaluation.sets == ("rtl",)


def test_f60_test_files_are_parts_of_artifacts_that_the_graph_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option of a task names a file outside of an artifact."""
    monkeypatch.chdir(ROOT)
    found = settings()
    made = {
        *("corpus/domain", "corpus/general"),
        *(f"instructions/{name}" for name in found.instructions.sets),
        *(f"problems/{name}" for name in found.evaluation.problems),
        *(f"checked/{name}.json" for name in found.evaluation.problems),
        *(f"sources/{name}" for name in found.sources),
    }
    files = [file for run in found.evaluations.values() for file in run.files.values()]
    assert {artifact for artifact, _ in files} <= made
    paths = {"corpus": {"test.jsonl"}, "instructions": {"test.jsonl"}, "problems": {"problems.jsonl"}}
    for artifact, path in files:
        assert path in paths.get(artifact.split("/")[0], {""}), "a file of the artifact, or the whole source"
    for task in found.evaluation.tasks:
        with pytest.raises(InvalidConfig, match=f"{task}"):
            settings(tasks={task: {"file_names": ["code/source/test.jsonl"]}})


def test_f61_answers_are_in_the_declared_output_one_for_each_row(folder: Path, data: Path) -> None:
    done = evaluate(folder, data, "instruction_answers")
    assert done.returncode == 0, done.stderr
    text = (data / "result.json").read_text()
    document = json.loads(text)
    result = document["result"]
    assert result == score(folder, data, "instruction_answers").model_dump(mode="json"), "the same in another process"
    assert json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n" == text
    assert result["rows_in_test"] == len((data / "instructions.jsonl").read_text().splitlines()) == 11
    assert len(result["answers"]) + result["left_out"] == 6, "max_rows of the options"
    assert len({answer["digest"] for answer in result["answers"]}) == len(result["answers"])


def test_f62_a_failed_evaluation_ends_with_a_status_and_no_result(folder: Path, data: Path) -> None:
    (data / "instructions.jsonl").write_text('{"input": "q", "output": "unbalanced\n')
    done = evaluate(folder, data, "instruction_answers")
    assert done.returncode == 1 and "BadRow" in done.stderr and "fix:" in done.stderr
    assert "Traceback" not in done.stderr and not (data / "result.json").exists()


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_f63_weights_of_any_type_are_evaluated_in_float32(folder: Path, tmp_path: Path, stored: torch.dtype) -> None:
    """The scores of a model in 16 bits are those of the same weights written with 32 bits."""
    from transformers import LlamaForCausalLM

    losses = []
    for name, dtype in (("half", stored), ("whole", torch.float32)):
        path = tmp_path / name
        LlamaForCausalLM.from_pretrained(folder).to(stored).to(dtype).save_pretrained(path)
        shutil.copy(folder / "tokenizer.model", path)
        loaded = load(path, Computation(threads=1), load_encoding())
        assert {weights.dtype for weights in loaded.network.parameters()} == {torch.float32}
        losses.append(score_answers(loaded, questions(loaded, ROWS), 4096))
    assert losses[0] == losses[1]


def test_f64_answers_have_room_up_to_their_end_and_longer_ones_are_counted(folder: Path, data: Path) -> None:
    long = " ".join(f"q{index}" for index in range(8))
    rows = [
        {"input": f"{index}?", "output": long if index < 2 else "a", "category": "c", "source": "s", "licence": "ISC"}
        for index in range(6)
    ]
    write_rows(data / "instructions.jsonl", [{**row, "digest": row["input"]} for row in rows])
    result = score(folder, data, "instruction_answers")
    assert result.expected_over_limit == 2
    assert all(answer.finished or answer.tokens == 8 for answer in result.answers)
    assert Options().max_new_tokens > 20


ROWS = [
    {"input": f"How wide is q{index}?", "output": f"[{index}:0]", "category": "c", "source": "s", "licence": "ISC"}
    for index in range(8)
]


def load_encoding() -> Any:
    from tests.evals.conftest import encoding

    return encoding()


def questions(model: LoadedModel, rows: list[dict[str, str]]) -> list[Question]:
    encoded = [{**row, "digest": f"{index}"} for index, row in enumerate(rows)]
    return encode_questions(model.encoder, model.encoding or load_encoding(), model.facts.context, encoded)


@pytest.fixture(scope="module")
def memorized(model: LoadedModel) -> LoadedModel:
    """Train the tiny model on eight rows until it knows them."""
    network = copy.deepcopy(model.network).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    asked = questions(model, ROWS)
    width = max(len(one.prompt) + len(one.answer) for one in asked)
    ids, labels = torch.zeros(len(asked), width, dtype=torch.long), torch.full((len(asked), width), -100)
    for row, one in enumerate(asked):
        both = torch.tensor([*one.prompt, *one.answer])
        ids[row, : len(both)] = both
        labels[row, len(one.prompt) : len(both)] = both[len(one.prompt) :]
    for _ in range(200):
        loss = network(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    return replace(model, network=network.eval())


def test_f65_a_model_that_memorized_eight_rows_answers_eight_of_eight(memorized: LoadedModel) -> None:
    """Besides the loss there are scores of the text; with the labels of other rows they are zero."""

    def answered(rows: list[dict[str, str]]) -> tuple[list[Answer], float]:
        asked = questions(memorized, rows)
        return answer_questions(memorized, asked, Options()), sum(
            one.nats for one in score_answers(memorized, asked, 4096)
        )

    known, low = answered(ROWS)
    assert [answer.exact for answer in known] == [True] * 8
    assert all(answer.finished and answer.well_formed and answer.rouge_l == 1 for answer in known)
    labels = [row["output"] for row in ROWS]
    shuffled = [{**row, "output": label} for row, label in zip(ROWS, labels[1:] + labels[:1], strict=True)]
    wrong, high = answered(shuffled)
    assert [answer.exact for answer in wrong] == [False] * 8
    assert high > 10 * low


@pytest.mark.parametrize("adapter", ["lora/adapter", "automodel_lora/adapter", "nemo/sft.nemo"])
def test_f66_a_model_is_evaluated_whole_never_as_an_adapter_over_a_base(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    models = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}
    with pytest.raises(InvalidConfig, match=f"names {adapter}, not a model folder"):
        settings(models={**models, "x": adapter})
    assert settings(models={**models, "lora": "lora/merged"}).evaluation.models["lora"] == "lora/merged"


def test_f67_each_measure_states_its_direction(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best step of a training is that with the lowest loss; there is no mode that could contradict it."""
    result = score(folder, data, "instruction_answers")
    lower = {measure.name: measure.lower_is_better for measure, _ in TASK.measure(result, Options(data="x"))}
    assert len(lower) > 6
    assert all(direction == ("loss" in name or "bits" in name) for name, direction in lower.items())
    monkeypatch.chdir(ROOT)
    with pytest.raises(InvalidConfig, match="mode is unknown"):
        load_settings({**default(), "sft": {"selection": "best", "mode": "max"}})
