"""Run of a training method for Hugging Face models: the common part of its programs."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.config.automodel_lora import AutomodelLora
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.train.launch import every_rank
from tapeout.train.method import load_automodel_method


def run_automodel(name: str, job: AutomodelLora, model: Path, output: Path, inputs: Mapping[str, Any]) -> None:
    """Train an adapter of a Hugging Face model with a method.

    Writes a folder in PEFT's layout with train_log.json and the prompt template of the rows.
    """
    method = load_automodel_method(name)
    with every_rank(job.layout, job.threads) as rank:
        from tapeout.nemo.process import prepare

        prepare(job.threads, gpu=job.layout.accelerator == "gpu", deterministic=job.deterministic)
        from tapeout.models.adapter import write_adapter
        from tapeout.models.tokenizer_file import tokenizer_path
        from tapeout.train.automodel import train_adapter

        model = model.resolve()
        data = method.data(job, tokenizer_path(model), inputs, rank.once)
        adapter, log = train_adapter(model, data, job, method, rank)
        output.mkdir(parents=True)
        write_adapter(adapter, model, output)
        (output / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")
        shutil.copyfile(inputs["encoded"][0] / TEMPLATE_FILE, output / TEMPLATE_FILE)
