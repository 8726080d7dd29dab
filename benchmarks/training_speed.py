"""Measure the speed of training runs on one GPU, and of a plain Hugging Face loop with torch.compile beside them.

Run ``python -m benchmarks.training_speed FOLDER [VARIANT ...]`` in an environment with NeMo and a CUDA build of
PyTorch. The model is a Llama of 1.1 billion parameters; a step has 32 sequences of 2,048 positions. Each variant is one
process: our own programs scripts/dapt.py and scripts/sft.py, or this module with ``--peer``. Compare figures of one
call only: the clock of a card changes between calls.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_training import environment, gpu_model, write_inputs

SIZES = {"hidden": 2048, "layers": 22, "sequence": 2048, "groups": 4, "shortest": 60, "longest": 340, "words": 31_000}
STEP = 32
STEPS = 18
BF16 = {"precision": "bf16-mixed", "micro_batch_size": 8}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dapt": ("dapt", BF16),
    "dapt-16": ("dapt", {**BF16, "micro_batch_size": 16}),
    "dapt-fast": ("dapt", {**BF16, "micro_batch_size": 16, "deterministic": False}),
    "dapt-fp8": ("dapt", {"precision": "fp8", "micro_batch_size": 8}),
    "dapt-fp8-fast": ("dapt", {"precision": "fp8", "micro_batch_size": 16, "deterministic": False}),
    "sft": ("sft", BF16),
    "sft-16": ("sft", {**BF16, "micro_batch_size": 16}),
    "sft-fp8": ("sft", {"precision": "fp8", "micro_batch_size": 16}),
    "peer": ("peer", {"micro_batch_size": 8}),
    "peer-16": ("peer", {"micro_batch_size": 16}),
}
"""Program and parameters of each variant."""


def main() -> None:
    """Create the model and the data once, run the variants one after another, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="folder for all files; a second call reuses its model and data")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--peer", type=int, metavar="MICRO_BATCH", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options.peer, options.steps)
        return
    if not (options.folder / "encoded").exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        write_inputs(argparse.Namespace(folder=options.folder, **SIZES))
    for name in options.variants or VARIANTS:
        print(json.dumps({"variant": name, **measure(name, options.folder, options.steps)}), flush=True)


def measure(name: str, shared: Path, steps: int) -> dict[str, Any]:
    """Run one variant; return the figures of its last report."""
    program, changes = VARIANTS[name]
    folder = shared / name
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.training_speed", str(folder), "--steps", str(steps)]
    if program == "peer":
        command += ["--peer", str(changes["micro_batch_size"])]
    else:
        command = [sys.executable, f"scripts/{program}.py", *arguments(program, shared, folder, changes, steps)]
    started = time.monotonic()
    variables = {**environment(folder), "TAPEOUT_PLUGINS": f"tapeout.train.methods.{program}"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables)
    (folder / "log").write_text(done.stdout)
    lines = [line for line in done.stdout.splitlines() if re.match(r"\d+/\d+  ", line)]
    if done.returncode or not lines:
        return {"failed": done.returncode, "output": done.stdout[-2500:]}
    figures = {
        word: float(number)
        for word, number in re.findall(r"(\w+) (-?[\d.]+)", last_training_step(lines).split("  ", 1)[1])
    }
    return {**figures, "process_seconds": round(time.monotonic() - started)}


def last_training_step(lines: list[str]) -> str:
    """Return the report of the last step but one; the last step also measures the validation loss, and compiles it."""
    return lines[-2] if len(lines) > 1 else lines[-1]


def arguments(program: str, shared: Path, folder: Path, changes: dict[str, Any], steps: int) -> list[str]:
    """Write the parameters of a training run; return the arguments of its program."""
    job = {
        "max_steps": steps,
        "warmup_steps": 2,
        "lr": 1e-4,
        "seq_length": SIZES["sequence"],
        "global_batch_size": STEP,
        "threads": 8,
        "layout": {"accelerator": "gpu", "gpu_model": gpu_model()},
        **({"val_check_interval": steps} if program == "sft" else {}),
        **changes,
    }
    (folder / "params.json").write_text(json.dumps(job))
    paths = {"params": folder / "params.json", "output": folder / f"model-{time.time_ns()}"}
    if program == "dapt":
        paths |= {"model": shared / "base", "domain": shared / "domain.jsonl", "general": shared / "general.jsonl"}
    else:
        paths |= {"model": shared / "base", "encoded": shared / "encoded"}
    return [str(word) for name, value in paths.items() for word in (f"--{name}", value)]


def peer(micro_batch: int, steps: int) -> None:
    """Train the same model as most people do: transformers, autocast, torch.compile, fused AdamW; not deterministic."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    length = SIZES["sequence"]
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=SIZES["hidden"],
        intermediate_size=5632,
        num_hidden_layers=SIZES["layers"],
        num_attention_heads=32,
        num_key_value_heads=SIZES["groups"],
        max_position_embeddings=length,
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation="sdpa",
    )
    with torch.device("cuda"):
        model = LlamaForCausalLM(config).train()
    forward: Any = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    tokens = torch.randint(0, 32_000, (STEP, length), device="cuda")
    times = []
    for step in range(1, steps + 1):
        for part in tokens.split(micro_batch):
            with torch.autocast("cuda", torch.bfloat16):
                loss = forward(input_ids=part, labels=part).loss * micro_batch / STEP
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        times.append(time.monotonic())
        if step > 6:
            speed = round(5 * STEP * length / (times[-1] - times[-6]))
            memory = round(torch.cuda.max_memory_allocated() / 2**30, 1)
            print(f"{step}/{steps}  tokens_per_second {speed}  memory_gib {memory}", flush=True)
    os._exit(0)  # the compiler's threads would delay the end


if __name__ == "__main__":
    main()
