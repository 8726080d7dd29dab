"""One process that trains adapters of the tiny model; run by the fixture of test_automodel_lora.py.

NeMo is imported once: each training is a forked child, which starts as a fresh process would. The child also writes
what NeMo's module computed before and after the training, to ``<name>.measured.json`` and ``<name>.logits.pt``.
"""

import json
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.train.interrupted_trainings import Attempts

COMMON: dict[str, Any] = {
    "max_steps": 6,
    "warmup_steps": 1,
    "seq_length": 64,
    "global_batch_size": 4,
    "micro_batch_size": 2,
    "val_check_interval": 3,
    "lr": 0.01,
    "threads": 1,
}
TRAININGS: dict[str, dict[str, Any]] = {
    "one": {},
    "two": {},
    "micro-1": {"micro_batch_size": 1},
    "micro-4": {"micro_batch_size": 4},
    "attention": {"target_modules": ("q_proj", "*.layers.1.*.v_proj"), "dim": 2, "alpha": 6, "schedule": "cosine"},
    "other seed": {"seed": 2},
    "jit": {"jit": True, "max_steps": 2, "val_check_interval": 2},
    "jit off": {"max_steps": 2, "val_check_interval": 2},
    "stopped": {},
}


def main(folder: Path) -> None:
    """Train; write what happened to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.encoder.load import load_encoder
    from tapeout.models.tokenizer_file import tokenizer_path
    from tests.nemo.tiny_model import TEMPLATE, instruction_set, tiny_model

    base = tiny_model(folder / "base")
    encoded = instruction_set(folder, load_encoder(tokenizer_path(base)))[1]
    (encoded / "prompt_template.json").write_text(json.dumps({"template": TEMPLATE}) + "\n")
    shallow = shutil.copytree(base, folder / "one layer")  # compilation takes its time for every layer
    config = json.loads((shallow / "config.json").read_bytes())
    (shallow / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    attempts = Attempts(folder)
    attempts.run("stopped", lambda: train(folder, base, encoded, "stopped", {}, stop_after=2))
    for name, changed in TRAININGS.items():
        model = shallow if name.startswith("jit") else base
        attempts.run(name, partial(train, folder, model, encoded, name, changed))
    (folder / "results.json").write_text(json.dumps(attempts.results))


def train(folder: Path, base: Path, encoded: Path, name: str, changed: dict[str, Any], stop_after: int = 0) -> None:
    """Run a training as the script does; with ``stop_after``, send SIGTERM after that step."""
    import torch

    from tapeout.config.automodel_lora import AutomodelLora
    from tapeout.train import automodel, automodel_log
    from tapeout.train.run_automodel import run_automodel

    measured: dict[str, Any] = {}
    original, report = automodel.automodel, automodel_log.report

    def observed(path: Path) -> Any:
        network = original(path)
        configure = network.configure_model

        def configure_model() -> None:
            configure()
            torch.save(logits(network.model), folder / f"{name}.logits.pt")

        network.configure_model = configure_model
        measured["network"] = network
        return network

    def stopping(step: int, total: int, **values: float) -> None:
        report(step, total, **values)
        if step == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    automodel.automodel, automodel_log.report = observed, stopping
    output = folder / name
    shutil.rmtree(output, ignore_errors=True)
    run_automodel("automodel_lora", AutomodelLora(**COMMON | changed), base, output, {"encoded": [encoded]})
    network = measured.pop("network")
    torch.save(logits(network.model.eval()), folder / f"{name}.trained.pt")
    measured["compiled"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    measured["trained"] = sorted(name for name, weight in network.model.named_parameters() if weight.requires_grad)
    (folder / f"{name}.measured.json").write_text(json.dumps(measured))


def prompt() -> Any:
    """Return ids of a sequence [1, 24]."""
    import torch

    return torch.arange(24)[None] * 7 % 384


def logits(model: Any) -> Any:
    """Return the logits of the prompt."""
    import torch

    with torch.no_grad():
        return model(input_ids=prompt()).logits


if __name__ == "__main__":
    main(Path(sys.argv[1]))
