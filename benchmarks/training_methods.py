"""Train with each method on a GPU in bfloat16, and print the losses.

Run ``python -m benchmarks.training_methods FOLDER [METHOD ...]``, in an environment with NeMo and a CUDA build of
PyTorch; it takes three to four minutes. The model is random, nearly in the shape of SmolLM2-135M (30 layers of width
576, 9 heads, 3 groups; 32,000 pieces), and all methods train at the same time on the same GPU with the project's own
programs. With ``--accelerator cpu --hidden 64 --layers 2 --groups 1 --sequence 128`` it runs anywhere.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_training import TEMPLATE, WORDS, environment, gpu_model, write_inputs

STEPS = 24


@dataclass(frozen=True)
class Training:
    """One training run.

    Attributes:
        program: training method, the name of its program.
        params: its parameters, besides the common ones.
        inputs: its inputs by name.
    """

    program: str
    params: dict[str, Any]
    inputs: dict[str, Path]


def trainings(folder: Path) -> dict[str, Training]:
    """Return the trainings by name."""
    rows = {"encoded": folder / "encoded"}
    texts = {name: folder / f"{name}.jsonl" for name in ("domain", "general")}
    pairs = {"template": folder / "template.json", "pairs": folder / "pairs"}
    fine: dict[str, Any] = {"lr": 1e-3, "val_check_interval": STEPS // 2}
    preferences = {"seq_length": 64, "sources": ["pairs"], "lr": 1e-5}
    base, source = {"model": folder / "base"}, {"model": folder / "source"}
    return {
        "dapt": Training("dapt", {"lr": 1e-3}, base | texts),
        "sft": Training("sft", fine, base | rows),
        "sft, wsd": Training("sft", {**fine, "schedule": "wsd", "decay_steps": 8}, base | rows),
        "dpo": Training("dpo", preferences, base | pairs),
        "lora": Training("lora", fine, {**base, "base": folder / "source", **rows}),
        "automodel_lora": Training("automodel_lora", fine, source | rows),
        "automodel_lora, jit": Training("automodel_lora", {**fine, "jit": True}, source | rows),
    }


def write_pairs(folder: Path) -> None:
    """Write preference pairs, and the prompt template beside the rows and alone."""
    template = json.dumps({"template": TEMPLATE, "chat": None}) + "\n"
    for path in (folder / "encoded" / "prompt_template.json", folder / "template.json"):
        path.write_text(template)
    (folder / "pairs").mkdir()
    rows = [
        {"prompt": f"module {a} {b}", "chosen": f"input {a}", "rejected": f"output {b}"} for a in WORDS for b in WORDS
    ]
    (folder / "pairs" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(name: str, training: Training, options: argparse.Namespace) -> bool:
    """Run a training, print its curve as one line of JSON, and return whether it succeeded."""
    folder = options.folder / name.replace(", ", "-")
    (folder / "checkpoints").mkdir(parents=True)
    on_gpu = options.accelerator == "gpu"
    job = {
        **{"max_steps": STEPS, "warmup_steps": 2, "seq_length": options.sequence, "threads": 2},
        **{"global_batch_size": options.batch, "micro_batch_size": options.batch // 4},
        "layout": {"accelerator": "gpu", "gpu_model": gpu_model()} if on_gpu else {},
        "precision": "bf16-mixed" if on_gpu else "32",
        **training.params,
    }
    (folder / "params.json").write_text(json.dumps(job))
    arguments = {"params": folder / "params.json", "output": folder / "model", **training.inputs}
    plugins = [f"tapeout.train.methods.{training.program}", "tapeout.models.llama"]
    started = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            f"scripts/{training.program}.py",
            *(str(w) for n, v in arguments.items() for w in (f"--{n}", v)),
        ],
        env={
            **environment(folder),
            "TAPEOUT_STATE": str(folder / "checkpoints"),
            "TAPEOUT_PLUGINS": ",".join(plugins),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(f"{name} ended with {done.returncode}:\n{done.stdout[-4000:]}", flush=True)
        return False
    log = json.loads((folder / "model" / "train_log.json").read_text())
    result = {
        "training": name,
        "seconds": round(time.monotonic() - started),
        "losses": [round(step["loss"], 4) for step in log["steps"]],
        "validation": [round(entry["loss"], 4) for entry in log["validation"]],
        "last step": log["steps"][-1],
    }
    print(json.dumps(result), flush=True)
    return True


def main() -> None:
    """Create model and data, and train; exit with status 1 if a training fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="new folder for all files")
    parser.add_argument("training", nargs="*", help="names of trainings; default: all")
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="gpu")
    for name, default in {"hidden": 576, "layers": 30, "sequence": 1024, "groups": 3, "batch": 16}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    write_inputs(argparse.Namespace(**vars(options), words=0, shortest=20, longest=60))
    write_pairs(options.folder)
    chosen = {
        name: one for name, one in trainings(options.folder).items() if not options.training or name in options.training
    }
    at_once = len(chosen) if options.accelerator == "gpu" else os.cpu_count()
    with ThreadPoolExecutor(at_once) as pool:
        results = list(pool.map(lambda name: run(name, chosen[name], options), chosen))
    if not all(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
