"""Speed and exactness of an evaluation on a GPU: generated and scored tokens per second of a random Llama.

Run ``python -m benchmarks.evaluation_gpu PAGE`` in an environment with a CUDA build of PyTorch, on a machine with a
GPU; it takes a few minutes. The model has 1.1 billion parameters, the sizes of TinyLlama. Answers and likelihoods in
32-bit floats are compared with those of the CPU, and every variant with its own repetition, bit by bit.
"""

import argparse
import itertools
import random
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.tables import table, write
from tapeout.config.computation import Computation
from tapeout.evals.alternatives import Alternatives, nats_of_alternatives
from tapeout.evals.generation import greedy
from tapeout.evals.likelihood import Window, nats
from tapeout.evals.loaded_model import load
from tapeout.evals.sampling import NucleusSampling

SIZES = {
    **{"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32},
    **{"num_key_value_heads": 4, "max_position_embeddings": 2048, "vocab_size": 32000},
}
NEW_TOKENS, ROWS, ON_CPU = 128, 48, 2
"""Length of answers, prompts at once, and prompts that the CPU also answers."""


@dataclass
class Outcome:
    """Results of one variant, and the seconds of each part."""

    answers: list[list[int]]
    sampled: list[list[int]]
    likelihoods: list[float]
    seconds: list[float]


def choices(network: Any, prompts: list[list[int]]) -> tuple[float, float, float]:
    """Score four choices of 12 tokens after each prompt; return how the prompt is best computed.

    Returns:
        Seconds with the prompt computed for each choice, seconds with it computed once, and the largest relative
        difference of a likelihood.
    """
    groups = [
        Alternatives(
            [Window(4 * row + choice, [*ids, *range(10 + choice, 22 + choice)], len(ids)) for choice in range(4)]
        )
        for row, ids in enumerate(prompts)
    ]
    windows = [window for group in groups for window in group.windows]
    start = time.perf_counter()
    alone = nats(network, windows, len(windows), 16_384)
    middle = time.perf_counter()
    shared = nats_of_alternatives(network, groups, len(windows), 16_384)
    end = time.perf_counter()
    return middle - start, end - middle, max(abs(one / other - 1) for one, other in zip(alone, shared, strict=True))


def model_folder(folder: Path) -> Path:
    """Write a random model and a tokenizer, which was trained on the project's documentation."""
    text = sorted(Path("docs").glob("*.md"))
    sentencepiece.SentencePieceTrainer.train(
        input=",".join(map(str, text)), model_prefix=str(folder / "tokenizer"), vocab_size=2000, minloglevel=2
    )
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(**SIZES)).save_pretrained(folder)
    return folder


def evaluate(network: Any, prompts: list[list[int]], new_tokens: int) -> Outcome:
    """Answer prompts greedily and by sampling, and score them."""
    common: tuple[Any, ...] = ({2}, SIZES["vocab_size"], new_tokens, 2048, ROWS, lambda done: None)
    marks = [time.perf_counter()]
    answers = greedy(network, prompts, *common)
    marks.append(time.perf_counter())
    seeds = [str(number) for number in range(len(prompts))]
    sampled = greedy(network, prompts, *common, NucleusSampling(seeds, 0.8, 0.95))
    marks.append(time.perf_counter())
    windows = [Window(number, ids, 1) for number, ids in enumerate(prompts)]
    likelihoods = nats(network, windows, len(prompts), 16_384)
    marks.append(time.perf_counter())
    return Outcome(answers, sampled, likelihoods, [end - start for start, end in itertools.pairwise(marks)])


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    page: Path = parser.parse_args().page
    chance = random.Random(1)
    prompts = [[1, *(chance.randrange(3, 2000) for _ in range(chance.randint(100, 600)))] for _ in range(2 * ROWS)]
    gpu, rows = torch.cuda.get_device_name(0), []
    with TemporaryDirectory() as scratch:
        folder = model_folder(Path(scratch))
        cpu = evaluate(load(folder, Computation(threads=16), None).network, prompts[:ON_CPU], 32)
        for dtype in ("float32", "bfloat16"):
            network = load(folder, Computation(gpu_model=gpu, dtype=dtype), None).network
            evaluate(network, prompts[:ON_CPU], 4)  # kernels are loaded when first used
            first, second = evaluate(network, prompts, NEW_TOKENS), evaluate(network, prompts, NEW_TOKENS)
            few = evaluate(network, prompts[:ON_CPU], 32)
            equal = [a == b for pair in zip(few.answers, cpu.answers, strict=True) for a, b in zip(*pair, strict=True)]
            apart = max(abs(a / b - 1) for a, b in zip(few.likelihoods, cpu.likelihoods, strict=True))
            choices(network, prompts[:8])
            alone, shared, differing = choices(network, prompts)
            written = [sum(map(len, answers)) for answers in (first.answers, first.sampled)]
            speeds = [written[0], written[1], sum(map(len, prompts))]
            rows.append(
                [
                    f"{gpu}, {dtype}",
                    *(f"{count / taken:,.0f}" for count, taken in zip(speeds, first.seconds, strict=True)),
                    "yes"
                    if (first.answers, first.sampled, first.likelihoods)
                    == (second.answers, second.sampled, second.likelihoods)
                    else "no",
                    f"{sum(equal)} of {len(equal)}",
                    f"{apart:.1e}",
                    f"{alone:.2f} and {shared:.2f}",
                    f"{differing:.1e}",
                ]
            )
    header = ["variant", "greedy tokens/s", "sampled tokens/s", "scored tokens/s", "repetition has the same bits"]
    header += ["greedy tokens equal to the CPU's", "largest relative difference of a likelihood from the CPU's"]
    header += ["seconds for 96 questions with four choices: prompt computed four times, and once", "largest difference"]
    write(page, ["# Evaluation on a GPU", "Written by `benchmarks/evaluation_gpu.py`.", table(header, rows)])


if __name__ == "__main__":
    main()
