"""Logits and losses of an adapter by the library PEFT, which has an environment of its own.

Run with its packages in PYTHONPATH: it trains the initial adapter in a plain loop on the same samples, and loads the
trained one.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import LlamaForCausalLM

from tapeout.train.launch import single_rank
from tests.train.lora_trainings import STEPS, data, parameters, prompt
from tests.train.plain_loop import train_plainly


def main(folder: Path, workplace: Path, names: list[str]) -> None:
    """Write, for each training, a curve by PEFT, and logits and merged weights of the trained adapter."""
    torch.set_num_threads(1)

    def loaded(adapter: str, **options: Any) -> Any:
        model = LlamaForCausalLM.from_pretrained(folder / "source")
        return PeftModel.from_pretrained(model, folder / adapter, **options)

    samples = data(parameters(names[0]), folder, {"encoded": [folder / "encoded"]}, single_rank(workplace).once).train
    for name in names:
        model = loaded(f"{name}.initial", is_trainable=True)
        curve = train_plainly(model, samples, parameters(name), noted=STEPS)
        trained = loaded(name).eval()
        with torch.no_grad():
            logits = trained(input_ids=prompt()).logits
        found = {"curve": asdict(curve), "logits": logits, "merged": trained.merge_and_unload().state_dict()}
        torch.save(found, workplace / f"{name}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
