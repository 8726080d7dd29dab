"""Program of the environment ``nemo``: write models with transformers 4 and NeMo, and the logits that they have there.

``python -m tests.models.saved_by_4 FOLDER`` writes ``<family>/`` (Hugging Face) for each family, ``checkpoint/``
(NeMo-2, of the first one) and ``logits.safetensors``.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tapeout.config.bases.tiny import Base
from tapeout.models.family import load_family
from tapeout.models.huggingface import load_huggingface, new_model, save_model
from tests.models.small_llama import ARCHITECTURE
from tests.small_tokenizer import train

TEXTS = ["What is a mux?", "assign q = d;", "module counter(input clk);", "é 漢 😀", "a  b\tc"] * 30
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"rotary_base": 5000.0, "rope_scaling": {"scale_factor": 4.0, "old_context_len": 32}},
    "mistral": {"rotary_base": 500.0},
    "qwen2": {"share_embeddings_and_output_weights": True},
    "qwen3": {"params_dtype": "bfloat16"},
    "nemotron": {"num_query_groups": 2},
}
"""Options of the architecture, each beside those of ``ARCHITECTURE``."""


def main(folder: Path) -> None:
    """Write the models."""
    vocabulary, logits = folder / "tokenizer.model", {}
    vocabulary.write_bytes(train(TEXTS, 300, hard_vocab_limit=False))
    for name, options in FAMILIES.items():
        architecture = {**ARCHITECTURE, "seq_length": 64, **options}
        job = Base(kind="tiny", family=name, architecture=architecture, seed=7)
        save_model(new_model(job, vocabulary), load_family(name), vocabulary, folder / name)
        with torch.no_grad():
            logits[name] = load_huggingface(folder / name)(torch.arange(48)[None]).logits[0].contiguous()
    save_file(logits, folder / "logits.safetensors")
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.convert import import_checkpoint

    import_checkpoint(folder / "llama", folder / "checkpoint", folder / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
