"""Train the default base model with each vocabulary on the same text; print bits per byte of held-out text.

Run ``python benchmarks/tokenizer_quality_gpu.py FOLDER PAGE`` on a machine with a GPU; it needs PyTorch and NumPy
alone, and takes four minutes. FOLDER is written by ``benchmarks/tokenizer_quality.py``. The network, optimizer and
schedule are those of the default configuration in plain PyTorch. Every vocabulary reads as many domain and general
bytes as the default configuration's 300 steps do, or four times as many, so that the steps differ.
"""

import argparse
import json
import math
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, embedding, scaled_dot_product_attention, silu

LENGTH, BATCH, RATE, WARMUP = 256, 8, 3e-3, 20
STEPS, GENERAL = 300, 0.35
"""Steps with the vocabulary ``0``, and the fraction of their tokens that is general text."""
SEEDS, FACTORS, PROCESSES = (1, 2, 3), (1, 4), 8
EMBEDDING, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"

Rows = dict[str, torch.Tensor]


def read_weights(path: Path) -> Rows:
    """Return the tensors of a safetensors file, all of 32-bit floats."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:begin])
    weights = {}
    for name in sorted(entries.keys() - {"__metadata__"}):
        first, last = (begin + offset for offset in entries[name]["data_offsets"])
        values = torch.frombuffer(bytearray(content[first:last]), dtype=torch.float32)
        weights[name] = values.reshape(entries[name]["shape"])
    return weights


def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return RMSNorm."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def logits(weights: Rows, ids: torch.Tensor) -> torch.Tensor:
    """Return the logits of the default network, a Llama of 4 layers; [batch, length, vocabulary]."""
    rows, length = ids.shape
    frequencies = 10_000 ** -(torch.arange(0, 32, 2, device=ids.device) / 32)
    angles = torch.outer(torch.arange(length, device=ids.device).float(), frequencies).repeat(1, 2)

    def heads(x: torch.Tensor, name: str, number: int) -> torch.Tensor:
        return (x @ weights[name].T).view(rows, length, number, 32).transpose(1, 2)

    def rotated(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    x = embedding(ids, weights[EMBEDDING])
    for layer in range(4):
        prefix = f"model.layers.{layer}."
        y = norm(x, weights[f"{prefix}input_layernorm.weight"])
        query = rotated(heads(y, f"{prefix}self_attn.q_proj.weight", 4))
        key = rotated(heads(y, f"{prefix}self_attn.k_proj.weight", 2)).repeat_interleave(2, 1)
        value = heads(y, f"{prefix}self_attn.v_proj.weight", 2).repeat_interleave(2, 1)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)
        x = x + mixed @ weights[f"{prefix}self_attn.o_proj.weight"].T
        y = norm(x, weights[f"{prefix}post_attention_layernorm.weight"])
        gate, up = (y @ weights[f"{prefix}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (silu(gate) * up) @ weights[f"{prefix}mlp.down_proj.weight"].T
    return norm(x, weights["model.norm.weight"]) @ weights[OUTPUT].T


def extended(weights: Rows, parts: list[list[int]]) -> Rows:
    """Return the weights with a row for each new piece: the mean of its parts, and zeros in the output layer."""
    if not parts:
        return weights
    inputs = torch.stack([weights[EMBEDDING][ids].mean(0) for ids in parts])
    outputs = torch.zeros_like(inputs)
    added = {EMBEDDING: inputs, OUTPUT: outputs}
    return weights | {name: torch.cat([weights[name], rows]) for name, rows in added.items()}


def train(weights: Rows, data: dict[str, Any], steps: int, general: float, seed: int) -> None:
    """Train in place on windows of both corpora, in an order that the seed gives."""
    random = np.random.default_rng(seed)
    wanted = {"general": round(steps * BATCH * general)}
    wanted["domain"] = steps * BATCH - wanted["general"]
    windows = []
    for corpus, number in sorted(wanted.items()):
        ids = data[f"{corpus}-train"]
        count = (len(ids) - 1) // LENGTH
        order = np.concatenate([random.permutation(count) for _ in range(number // count + 1)])[:number]
        windows += [ids[LENGTH * window : LENGTH * window + LENGTH + 1] for window in order.tolist()]
    order = random.permutation(len(windows))
    batches = torch.from_numpy(np.stack(windows)[order].astype(np.int64)).cuda().view(steps, BATCH, LENGTH + 1)
    optimizer = torch.optim.AdamW(weights.values(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    for step, batch in enumerate(batches):
        decay = 0.1 + 0.9 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP))) / 2
        for group in optimizer.param_groups:
            group["lr"] = RATE * ((step + 1) / (WARMUP + 1) if step < WARMUP else decay)
        optimizer.zero_grad()
        cross_entropy(logits(weights, batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()


def bits(weights: Rows, data: dict[str, Any], corpus: str) -> float:
    """Return the bits of all test documents of a corpus, each after the token that begins a text.

    Windows overlap by half, so that every token but the first ones has half a window before it.
    """
    total, begin = 0.0, 0
    for size in data[f"{corpus}-lengths"].tolist():
        ids = np.concatenate([[1], data[f"{corpus}-test"][begin : begin + size]]).astype(np.int64)
        document, begin, scored = torch.from_numpy(ids).cuda(), begin + size, 1
        while scored <= size:
            first = max(0, scored - LENGTH // 2 - 1)
            window = document[None, first : first + LENGTH + 1]
            with torch.no_grad():
                losses = cross_entropy(logits(weights, window[:, :-1])[0], window[0, 1:], reduction="none")
            total += float(losses[scored - first - 1 :].sum())
            scored = first + window.shape[1]
    return total / math.log(2)


def run(folder: Path, variant: str, factor: int, seed: int) -> tuple[str, int, int, float, float]:
    """Train with one vocabulary; return its name, the factor, the steps, and bits per domain and general byte."""
    known = json.loads((folder / "variants.json").read_text())
    arrays = np.load(folder / "tokens.npz")
    sizes = {name: len(arrays[f"{name}-domain-train"]) for name in known["variants"]}
    data = {name.split("-", 1)[1]: arrays[name] for name in arrays.files if name.startswith(f"{variant}-")}
    domain = STEPS * (1 - GENERAL) * sizes[variant] / sizes["0"]
    steps, general = factor * round(domain + STEPS * GENERAL), STEPS * GENERAL / (domain + STEPS * GENERAL)
    weights = extended(read_weights(folder / "model.safetensors"), known["variants"][variant]["parts"])
    weights = {name: tensor.cuda().requires_grad_() for name, tensor in weights.items()}
    train(weights, data, steps, general, seed)
    found = (bits(weights, data, corpus) / known["test_bytes"][corpus] for corpus in ("domain", "general"))
    return (variant, factor, steps, *found)


def main() -> None:
    """Run all variants, several at once, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    variants = json.loads((arguments.folder / "variants.json").read_text())["variants"]
    found = defaultdict(list)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        jobs = [
            pool.submit(run, arguments.folder, variant, factor, seed)
            for factor in sorted(FACTORS, reverse=True)
            for variant in variants
            for seed in SEEDS
        ]
        for job in jobs:
            variant, factor, steps, *values = job.result()
            found[variant, factor].append((steps, *values))
    head = "| min_cohesion | pieces | tokens saved | steps | domain bits per byte | of each seed | general |"
    lines = [head, "|---|--:|--:|--:|--:|---|--:|"]
    for (variant, _), outcomes in sorted(found.items(), key=lambda entry: (entry[0][1], -entry[1][0][0])):
        domain = [value for _, value, _ in outcomes]
        cells = [variant, len(variants[variant]["parts"]), f"{variants[variant]['saved']:.1%}", outcomes[0][0]]
        cells += [f"{fmean(domain):.3f}", ", ".join(f"{value:.3f}" for value in domain)]
        lines.append(f"| {' | '.join(map(str, [*cells, f'{fmean(value for *_, value in outcomes):.3f}']))} |")
    source = f"Written by `benchmarks/tokenizer_quality_gpu.py` on one {torch.cuda.get_device_name()}."
    arguments.page.write_text("\n\n".join(["# Bits per byte by vocabulary", source, "\n".join(lines)]) + "\n")


if __name__ == "__main__":
    main()
