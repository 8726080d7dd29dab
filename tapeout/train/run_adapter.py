"""Run of a training method for adapters of Megatron models: the common part of its programs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.config.training import Training
from tapeout.train.launch import every_rank
from tapeout.train.method import load_adapter_method


def run_adapter(name: str, job: Training, model: Path, base: Path, output: Path, inputs: Mapping[str, Any]) -> None:
    """Train an adapter of a model with a method; every process of the layout runs this.

    Writes a folder in PEFT's layout with train_log.json and the method's files.

    Args:
        name: the method.
        job: its parameters.
        model: NeMo-2 checkpoint of the model, a folder or an archive.
        base: Hugging Face folder of the same model, which states the layers by name.
        output: new folder.
        inputs: further inputs of the method.
    """
    method = load_adapter_method(name)
    with every_rank(job.layout, job.threads) as rank:
        from tapeout.nemo.process import prepare

        prepare(job.threads, gpu=job.layout.accelerator == "gpu", deterministic=job.deterministic)
        from tapeout.guard.tar import unpack
        from tapeout.models.adapter import write_adapter
        from tapeout.models.tokenizer_file import tokenizer_path
        from tapeout.train.trainer import fit

        folder = rank.once("model", lambda path: unpack(model, path)) if model.is_file() else model.resolve()
        data = method.data(job, tokenizer_path(folder), inputs, rank.once)
        adapters = method.adapters(job, base.resolve())
        network, log = fit(folder, data, job, method, rank, transform=adapters.attach)
        adapter = adapters.adapter(network)
        if rank.first:
            output.mkdir(parents=True)
            write_adapter(adapter, base.resolve(), output)
            (output / "train_log.json").write_text(json.dumps(log.content(), sort_keys=True) + "\n")
            for file, content in method.files(job, inputs).items():
                (output / file).write_text(content)
