"""One process that trains adapters of the tiny model in Megatron; run by the fixture of test_lora.py.

NeMo is imported once: each rank of each training is a forked child, which starts as a fresh process would. This module
is also the training method: that of the package, with a callback that notes what the model computes.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.train.launch import SHARED, STARTER
from tapeout.train.methods.lora import KIND, Parameters, adapters, data, files, loss
from tapeout.train.run_adapter import run_adapter
from tests.train.interrupted_trainings import at_step, use_checkpoints
from tests.train.layout_trainings import Ranks

if TYPE_CHECKING:
    import lightning.pytorch as lightning

__all__ = ["KIND", "Parameters", "adapters", "callbacks", "data", "files", "loss"]

STEPS = 4
COMMON: dict[str, Any] = {
    **{"max_steps": STEPS, "warmup_steps": 1, "seq_length": 64, "global_batch_size": 4, "micro_batch_size": 1},
    **{"val_check_interval": 2, "lr": 0.01, "threads": 1},
}
TRAININGS: dict[str, dict[str, Any]] = {
    "one": {},
    "some": {"target_modules": ("q_proj", "*.layers.1.*.up_proj"), "dim": 2, "alpha": 6},
    "killed": {},
    "unknown": {"target_modules": ("*_proj", "q_prj")},
    "context": {"layout": {"devices": 2, "context_parallel_size": 2, "distributed_optimizer": True}},
    "tensor": {"layout": {"devices": 2, "tensor_model_parallel_size": 2}},
    "sequence": {"layout": {"devices": 2, "tensor_model_parallel_size": 2, "sequence_parallel": True}},
    "pipeline": {"layout": {"devices": 2, "pipeline_model_parallel_size": 2, "recompute": "full"}},
}
KILLED_AT = (1, 3)
"""Steps in which ``killed`` is killed, before the checkpoint of the step."""
NOTES = "NOTES"
"""Variable with the beginning of the names of the notes."""


def parameters(name: str) -> Parameters:
    """Return the parameters of a training."""
    return Parameters.model_validate(COMMON | TRAININGS[name])


def main(folder: Path) -> None:
    """Train; write what happened to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.encoder.load import load_encoder
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.convert import import_checkpoint
    from tests.nemo.tiny_model import TEMPLATE, instruction_set, tiny_model

    source, ranks = tiny_model(folder / "source"), Ranks(folder)
    ranks.run("import", 1, lambda _: import_checkpoint(source, folder / "base", folder))
    encoded = instruction_set(folder, load_encoder(tokenizer_path(source)))[1]
    (encoded / "prompt_template.json").write_text(json.dumps({"template": TEMPLATE}) + "\n")

    def run(name: str, killed_at: int = 0) -> None:
        """Train as the script does; a step in which the process is killed may be given."""
        job = parameters(name)

        def work() -> None:
            shared = folder / f"{name}.work"
            shared.mkdir(exist_ok=True)
            os.environ |= {SHARED: str(shared), STARTER: str(os.getppid()), NOTES: str(folder / name)}
            inputs = {"encoded": [encoded]}
            run_adapter("tests.train.lora_trainings", job, folder / "base", source, folder / name, inputs)

        def kill() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        ranks.run(name, job.layout.world_size, lambda _: at_step(killed_at, kill, work)())

    for name in TRAININGS:
        if name == "killed":
            use_checkpoints(folder / "killed.checkpoints", seconds=0)
            for step in KILLED_AT:
                run(name, step)
        run(name)
        os.environ.pop("TAPEOUT_STATE", None)
    (folder / "results.json").write_text(json.dumps(ranks.results))


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return a callback that notes what the model computes, on one rank."""
    import lightning.pytorch as lightning
    import torch

    from tapeout.models.adapter import write_adapter
    from tapeout.nemo.forward import megatron_model
    from tapeout.nemo.lora import ADAPTED, Adapted
    from tapeout.train.optimizers import torch_optimizers

    path = Path(os.environ[NOTES])
    noted: dict[str, Any] = {}

    class Notes(lightning.Callback):  # type: ignore[misc]
        """Note logits with and without adapters before the first step, and logits and gradients after the last one."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            gpt = megatron_model(pl_module)
            noted["with"] = logits(gpt)
            adapted = [module for module in gpt.modules() if isinstance(module, Adapted)]
            for module in adapted:
                module.forward = partial({new: old for old, new in ADAPTED.items()}[type(module)].forward, module)
            noted["without"] = logits(gpt)
            for module in adapted:
                del module.forward
            (initial := path.with_name(f"{path.name}.initial")).mkdir(exist_ok=True)
            source = path.with_name("source")
            write_adapter(adapters(job, source).adapter(pl_module), source, initial)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            if trainer.global_step < STEPS:
                return
            gpt, optimizers = megatron_model(pl_module), torch_optimizers(trainer)
            noted["trained"] = logits(gpt)
            noted["gradients"] = {
                f"{layer}.lora_{letter}.weight": matrix.main_grad.clone()
                for module in gpt.modules()
                if isinstance(module, Adapted)
                for layer, pair in module.adapter.pairs().items()
                for letter, matrix in zip("AB", pair, strict=True)
            }
            own = {name: weight for name, weight in gpt.named_parameters() if ".adapter." not in name}
            noted["weights"] = {name: weight.detach() for name, weight in own.items()}
            noted["have gradients"] = [
                name for name, weight in own.items() if weight.grad is not None or hasattr(weight, "main_grad")
            ]
            noted["optimized"] = sum(
                weight.numel() for one in optimizers for group in one.param_groups for weight in group["params"]
            )
            torch.save(noted, f"{path}.noted")

    return [Notes()] if job.layout.world_size == 1 else []


def logits(gpt: Any) -> Any:
    """Return the logits of Megatron's model for ``prompt()``, [1, 24, v]."""
    import torch

    ids, training = prompt(), gpt.training
    with torch.no_grad():
        found = gpt.eval()(ids, torch.arange(ids.size(1))[None], None)
    gpt.train(training)
    return found


def prompt() -> Any:
    """Return ids of a sequence [1, 24]."""
    import torch

    return torch.arange(24)[None] * 7 % 384


if __name__ == "__main__":
    main(Path(sys.argv[1]))
