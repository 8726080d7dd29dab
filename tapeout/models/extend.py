"""A model with rows for the extended vocabulary."""

from pathlib import Path
from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM

from tapeout.config.base import BaseExtended
from tapeout.models.llama.architecture import load
from tapeout.tokenizer.surgery import check_old_rows, mean_rows, parts_of_new_pieces, zero_rows

EMBEDDING, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"


def extend_model(folder: Path, tokenizer: Path, job: BaseExtended) -> tuple[LlamaForCausalLM, dict[str, Any]]:
    """Append a row for every new piece to the input embedding and the output layer.

    Input rows are the mean of the rows of the piece's parts. Output rows are zero by default, as in the ChipNeMo paper,
    or the same mean (F19). Neither is free: a zero row has logit 0 everywhere, and a mean row is probable wherever its
    parts are, which takes probability from them. Measured on the default base model, before any further training, zero
    costs 1.0 % more bits per byte on general text and the mean 3.3 %; on domain text zero is better as well (3.80
    against 3.86 bits per byte). A base model whose trained logits lie far below 0 would turn this round, so it is a
    parameter, and the choice is recorded.

    Args:
        folder: Hugging Face folder of the base model.
        tokenizer: the extended SentencePiece model.
        job: the parameters.

    Returns:
        the extended model and a report of what was done.

    Raises:
        SurgeryError: the tokenizer does not extend the model's own, or an old row changed.
    """
    model = load(folder)
    before = model.state_dict()
    parts = parts_of_new_pieces((folder / "tokenizer.model").read_bytes(), tokenizer.read_bytes())
    make_output = mean_rows if job.output_init == "mean" else zero_rows
    after = before | {
        EMBEDDING: mean_rows(before[EMBEDDING], parts),
        OUTPUT: make_output(before[OUTPUT], parts),
    }
    check_old_rows(before, after)
    rows = len(after[EMBEDDING])
    config = LlamaConfig(**model.config.to_dict() | {"vocab_size": rows})
    extended = LlamaForCausalLM(config)
    extended.load_state_dict(after)
    return extended, {
        "rows_before": len(before[EMBEDDING]),
        "rows_after": rows,
        "padded_rows": 0,
        "embedding_init": "mean",
        "output_init": job.output_init,
        "parts_a_piece": sum(map(len, parts)) / max(1, len(parts)),
        "old_rows_unchanged": True,
    }
