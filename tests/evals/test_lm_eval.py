"""Log-likelihoods of choices equal those of lm-eval's own Hugging Face backend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.evals.choices import ChoiceQuestion, Scoring, examples_for, prompt_of, score_choices
from tapeout.evals.loaded_model import LoadedModel
from tapeout.graph.identity.environment import read_environment

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]
TEXTS = ("clk", "output reg [7:0]", "q = d;", "✓ is no letter", "assign  q", "endmodule\nmodule", "0", "wire")


def test_log_likelihoods_equal_those_of_lm_eval(model: LoadedModel, folder: Path, tmp_path: Path) -> None:
    """Also with several examples, several lines, characters that are no pieces, and continuations of several tokens."""
    questions = [
        ChoiceQuestion(question=text, choices=[TEXTS[index - 1].strip(), TEXTS[index - 3], "?"], answer=index % 3)
        for index, text in enumerate(TEXTS)
    ]
    scorings: tuple[Scoring, ...] = ("text", "letter")
    requests, found = [], []
    for scoring in scorings:
        for one in score_choices(model, questions, [1, 2], 1, scoring, 512):
            for attempt in one.attempts:
                examples = examples_for(one.question, questions, attempt.seed, 1)
                prompt = prompt_of(one.question, examples[len(examples) - attempt.shots :], scoring)
                requests += [(prompt, f" {choice}") for choice in one.question.answers(scoring)]
                found += attempt.log_likelihoods
    assert len(found) >= 48
    (tmp_path / "requests.json").write_text(json.dumps(requests))
    packages = ROOT / read_environment("lm_eval", ROOT).folder / "lib/python3.11/site-packages"
    files = [str(path) for path in (folder, tmp_path / "requests.json", tmp_path / "result.json")]
    subprocess.run(
        [sys.executable, "-m", "tests.evals.lm_eval_reference", *files],
        env={**os.environ, "PYTHONPATH": f"{packages}:{ROOT}", "HF_HUB_OFFLINE": "1"},
        cwd=ROOT,
        check=True,
    )
    reference = json.loads((tmp_path / "result.json").read_text())
    assert reference["version"] == read_environment("lm_eval", ROOT).packages["lm-eval"]
    assert found == pytest.approx(reference["values"], abs=1e-4)
