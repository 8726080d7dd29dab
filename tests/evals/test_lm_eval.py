"""Log-likelihoods of choices equal those of lm-eval's own Hugging Face backend."""

from pathlib import Path

import pytest

from tapeout.evals.choices import ChoiceQuestion, Scoring, examples_for, prompt_of, score_choices
from tapeout.evals.loaded_model import LoadedModel

pytestmark = pytest.mark.environment("lm_eval")

TEXTS = ("clk", "output reg [7:0]", "q = d;", "✓ is no letter", "assign  q", "endmodule\nmodule", "0", "wire")


def test_log_likelihoods_equal_those_of_lm_eval(model: LoadedModel, folder: Path) -> None:
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
    assert found == pytest.approx(reference(folder, requests), abs=1e-4)


def reference(folder: Path, requests: list[tuple[str, str]]) -> list[float]:
    """Return the log-likelihood of each pair of a prompt and a continuation by lm-eval's own backend."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, LlamaTokenizer

    backend = HFLM(
        pretrained=AutoModelForCausalLM.from_pretrained(folder),
        tokenizer=LlamaTokenizer(str(folder / "tokenizer.model"), legacy=False),
        device="cpu",
        batch_size=4,
        add_bos_token=True,
    )
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index) for index, pair in enumerate(requests)
    ]
    return [value for value, _ in backend.loglikelihood(instances)]
