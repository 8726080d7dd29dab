"""Prompts for designs, and the answers of a tiny random model to them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapeout.config.computation import Computation
from tapeout.config.evaluation import SamplesJob
from tapeout.config.instructions import MODELS_OWN, Prompt
from tapeout.config.task_options import AskedProblems
from tapeout.evals.design_prompts import SAMPLER, UnfitPrompt, generate, prompts_of
from tapeout.evals.samples import read_samples
from tapeout.evals.tasks.verilog_generation import Options
from tapeout.simulation.prompts import Asked, write_prompts
from tests.evals.conftest import encoding
from tests.simulation.toys import COUNTER

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

pytestmark = pytest.mark.environment("nemo")
ROOT = Path(__file__).parents[2]
SHORT = Asked(name="counter", text="module fifo\n")
OTHER = Asked(name="other", text="module ram\n")
LONG = Asked(name="long", text="module fifo " * 400)
OPTIONS = Options(samples=2, max_new_tokens=6)


@pytest.fixture(scope="module")
def model(folder: Path) -> "LoadedModel":
    from tapeout.evals.loaded_model import load

    return load(folder, Computation(threads=1), encoding())


def test_answers_are_greedy_and_sampled_and_repeatable(model: "LoadedModel") -> None:
    samples = generate(model, [SHORT, LONG], OPTIONS)
    assert [(sample.name, sample.number) for sample in samples] == [
        *(("counter", number) for number in range(3)),
        *(("long", number) for number in range(3)),
    ]
    texts = [sample.text for sample in samples]
    assert all(text is not None for text in texts[:3]) and texts[3:] == [None] * 3  # no room
    assert all(sample.tokens <= 6 for sample in samples)
    assert generate(model, [SHORT, LONG], OPTIONS) == samples
    other = generate(model, [SHORT], OPTIONS.model_copy(update={"seed": 2}))
    assert other[0] == samples[0] and other[1:] != samples[1:3]
    assert generate(model, [SHORT], OPTIONS.model_copy(update={"samples": 1, "pass_at": (1,)})) == samples[:2]


def test_a_model_without_a_template_gets_plain_text(model: "LoadedModel") -> None:
    [prompt] = prompts_of(model, [SHORT])
    assert prompt.question is None and prompt.text == "module fifo\n"
    assert model.encoder.decode(list(prompt.ids[len(model.encoder.bos_ids) :])) == "module fifo\n"


def test_a_model_with_a_template_gets_it(model: "LoadedModel") -> None:
    [prompt] = prompts_of(replace(model, has_template=True), [SHORT])
    assert prompt.question is not None
    assert model.encoder.decode(list(prompt.ids[len(model.encoder.bos_ids) :])) == "module fifo\n\n### Answer: "


def test_a_problem_that_the_template_cannot_render_is_named(model: "LoadedModel") -> None:
    changing = "{% for m in messages %}{{ '[' + (m['content'] | replace('fifo', 'queue')) + ']' }}{% endfor %}"
    prompt = Prompt(tokens="template", chat_template=MODELS_OWN)
    changed = encoding().model_copy(update={"prompt": prompt, "chat_template": changing})
    with pytest.raises(UnfitPrompt, match=r"The problem counter .*: .* changes a text of the role user\."):
        prompts_of(replace(model, has_template=True, encoding=changed), [OTHER, SHORT])
    [prompt_of_other] = prompts_of(replace(model, has_template=True, encoding=changed), [OTHER])
    assert model.encoder.decode(list(prompt_of_other.ids)).startswith("[module ram")


@pytest.mark.parametrize("has_template", [False, True])
def test_a_part_without_problems_has_no_answers(model: "LoadedModel", tmp_path: Path, has_template: bool) -> None:
    write_prompts(tmp_path, [COUNTER.model_copy(update={"unusable": "It has no bench."})], 1)
    files = {"prompts": tmp_path / "prompts/0.jsonl"}
    assert SAMPLER.generate(replace(model, has_template=has_template), files, OPTIONS) == []


def test_the_step_writes_the_answers_that_are_judged(model: "LoadedModel", folder: Path, tmp_path: Path) -> None:
    asked = AskedProblems(samples=2, max_new_tokens=6)
    write_prompts(tmp_path, [COUNTER, COUNTER.model_copy(update={"name": "other"})], 1)
    made = {"prompts": tmp_path / "prompts/0.jsonl"}
    job = SamplesJob(sampler=SAMPLER.__module__, options=asked.identity(), threads=1, encoding=encoding())
    (tmp_path / "params.json").write_text(json.dumps(job.identity()))
    command = [sys.executable, "scripts/samples.py", "--params", str(tmp_path / "params.json"), "--model", str(folder)]
    command += [item for name in SAMPLER.files(asked, 0) for item in ("--data", str(made[name]))]
    declared = f"{SAMPLER.__module__},tapeout.models.llama"
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "samples.jsonl")],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT), TAPEOUT_PLUGINS=declared),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    facts, samples = read_samples(tmp_path / "samples.jsonl")
    assert (facts, samples) == (model.facts, SAMPLER.generate(model, made, asked))
    assert {sample.name for sample in samples} == {"counter", "other"}
