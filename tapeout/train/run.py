"""Run of a training method: the common part of all training programs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.config.training import Training
from tapeout.train.launch import every_rank
from tapeout.train.method import load_method


def run_method(name: str, job: Training, model: Path, output: Path, inputs: Mapping[str, Any]) -> None:
    """Train a model with a method; every process of the layout runs this.

    Writes a NeMo-2 checkpoint folder with train_log.json and the method's files.
    """
    method = load_method(name)
    with every_rank(job.layout, job.threads) as rank:
        from tapeout.nemo.process import prepare

        prepare(job.threads, gpu=job.layout.accelerator == "gpu", deterministic=job.deterministic)
        from tapeout.guard.tar import unpack
        from tapeout.models.tokenizer_file import tokenizer_path
        from tapeout.train.trainer import train

        folder = rank.once("model", lambda path: unpack(model, path)) if model.is_file() else model.resolve()
        data = method.data(job, tokenizer_path(folder), inputs, rank.once)
        log = train(folder, data, job, method, output, rank)
        if rank.first:
            (output / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")
            for file, content in method.files(job, inputs).items():
                (output / file).write_text(content)
