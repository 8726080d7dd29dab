"""One process that imports and trains models of all families in NeMo; test_families_in_nemo.py reads its results."""

import json
import sys
from pathlib import Path
from typing import Any

SMALL = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "num_query_groups": 2, "ffn_hidden_size": 48}
TIED = {"share_embeddings_and_output_weights": True}
SCALED = {"rope_scaling": {"scale_factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "old_context_len": 32}}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, tied": ("llama", {**TIED, "params_dtype": "float16", "layernorm_epsilon": 1e-6}),
    "llama, scaled": ("llama", {**SCALED, "kv_channels": 16, "seq_length": 512, "rotary_base": 500.0}),
    "llama, tied and scaled": ("llama", {**TIED, **SCALED, "params_dtype": "bfloat16", "seq_length": 512}),
    "mistral": ("mistral", {"kv_channels": 16, "rotary_base": 1e6}),
    "qwen2": ("qwen2", {"params_dtype": "bfloat16"}),
    "qwen2, tied": ("qwen2", TIED),
    "qwen3": ("qwen3", {"kv_channels": 16}),
    "qwen3, tied": ("qwen3", {**TIED, "kv_channels": 16, "params_dtype": "bfloat16"}),
}
"""Family and options of each model."""
ROWS = 509
"""Rows of each embedding, a prime number, more than the vocabulary has pieces."""
IDS = {"bos_token_id": 1, "eos_token_id": [2, 7], "pad_token_id": 0}
LENGTH = 64
"""Tokens of the sequences of a training run."""
POSITIONS = 300
"""Tokens of the texts whose logits are compared, far beyond the original context of the scaled models."""


def write_model(name: str, folder: Path) -> None:
    """Write a model whose tensors are all random, norms and biases too."""
    import torch

    from tapeout.models import llama
    from tapeout.models.family import load_family
    from tests.tokenizer.material import BASE

    family, options = load_family(MODELS[name][0]), MODELS[name][1]
    architecture = family.Architecture.model_validate({**SMALL, **options})
    config = family.huggingface_config(architecture, ROWS, **IDS)
    torch.manual_seed(len(name))
    model = family.model_class()(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(getattr(torch, architecture.params_dtype)).save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(BASE)
    (folder / "tokenizer_config.json").write_text(json.dumps(llama.tokenizer_config()))


def random_samples() -> Any:
    """Return four sequences of random tokens for each of the two steps of a training run."""
    import numpy as np

    from tapeout.train.samples import Sample, Samples

    tokens = np.random.default_rng(0).integers(3, ROWS, (8, LENGTH + 1))

    class RandomTokens(Samples):
        def __len__(self) -> int:
            return len(tokens)

        def __getitem__(self, index: int) -> Sample:
            return Sample(tokens[index, :-1], tokens[index, 1:], np.ones(LENGTH, np.uint8))

    return RandomTokens()


def main(folder: Path) -> None:
    """Import each model, train it, and write losses and the largest differences of a logit to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    import nemo.lightning as nl
    import torch
    from megatron.core.num_microbatches_calculator import destroy_num_microbatches_calculator

    from tapeout.config.dapt import Dapt
    from tapeout.deploy.huggingface import fixed_tokens, nemo_logits
    from tapeout.models.huggingface import load_huggingface
    from tapeout.nemo.checkpoint import load_model
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.train.launch import single_rank
    from tapeout.train.methods import dapt
    from tapeout.train.samples import TrainingData
    from tapeout.train.trainer import train

    results: dict[str, Any] = {}
    samples = random_samples()
    sizes = {"seq_length": LENGTH, "global_batch_size": 4, "micro_batch_size": 4, "threads": 1}
    job = Dapt(max_steps=2, warmup_steps=0, lr=0.01, **sizes)
    ids = fixed_tokens(ROWS, POSITIONS)

    @torch.no_grad()
    def differences(expected: Any, checkpoint: Path) -> dict[str, float]:
        logits = expected(ids).logits
        difference = (nemo_logits(checkpoint, ids) - logits).abs().max()
        return {"difference": float(difference), "largest": float(logits.abs().max())}

    for name in MODELS:
        source, output, trained = (folder / name / kind for kind in ("source", "nemo", "trained"))
        write_model(name, source)
        import_checkpoint(source, output, folder / name)
        model = load_huggingface(source)
        tokens, labels = torch.utils.data.default_collate(
            [(part.tokens, part.labels) for part in map(samples.__getitem__, range(4))]
        )
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(model(tokens).logits.flatten(0, 1), labels.flatten())
        destroy_num_microbatches_calculator()  # a process normally trains once
        log = train(output, TrainingData(samples), job, dapt, trained, single_rank(folder / name / "work"))
        results[name] = {
            "imported": differences(model, output),
            "trained": differences(load_model(trained), trained),
            "types": [str(nl.io.load_context(at, subpath="model").config.params_dtype) for at in (output, trained)],
            "parameters": [log["parameters"], model.num_parameters()],
            "loss": float(loss),
            "losses": [step["loss"] for step in log["steps"]],
        }
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
