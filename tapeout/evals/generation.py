"""Greedy answers in batches, with a key-value cache."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@torch.inference_mode()
def greedy(
    model: "LlamaForCausalLM",
    prompts: Sequence[Sequence[int]],
    end: int,
    pieces: int,
    max_new_tokens: int,
    context: int,
    batch_rows: int,
    progress: Callable[[int], None],
) -> list[list[int]]:
    """Continue each prompt with the most likely token until ``end``, ``max_new_tokens`` or a full context.

    Prompts of similar length share a batch. Shorter ones are padded on the left, masked, and their positions count
    from their own first token, so an answer does not depend on its neighbours (but for the last bits of float sums,
    which the batch size may change). A row that is done leaves the batch at once.

    Args:
        prompts: token sequences, each shorter than ``context``.
        pieces: size of the tokenizer; embedding rows beyond it are padding and are never chosen.
        progress: told the number of finished prompts after each batch.

    Returns:
        The new tokens of each prompt, ``end`` included when it was reached.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    for start in range(0, len(order), batch_rows):
        batch = order[start : start + batch_rows]
        _continue(model, prompts, answers, batch, end, pieces, max_new_tokens, context)
        progress(start + len(batch))
    return answers


def _continue(
    model: "LlamaForCausalLM",
    prompts: Sequence[Sequence[int]],
    answers: list[list[int]],
    batch: list[int],
    end: int,
    pieces: int,
    max_new_tokens: int,
    context: int,
) -> None:
    """Fill in ``answers`` for the prompts of one batch."""
    from tapeout.evals.cache import PreallocatedCache

    width = max(len(prompts[index]) for index in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    for row, index in enumerate(batch):
        ids[row, width - len(prompts[index]) :] = torch.tensor(prompts[index])
        mask[row, width - len(prompts[index]) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = PreallocatedCache(width + max_new_tokens)
    active = list(batch)
    while True:
        hidden = model.model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).last_hidden_state
        chosen = model.lm_head(hidden[:, -1])[:, :pieces].argmax(-1)
        for index, token in zip(active, chosen.tolist(), strict=True):
            answers[index].append(token)
        going = [
            row
            for row, index in enumerate(active)
            if answers[index][-1] != end
            and len(answers[index]) < max_new_tokens
            and len(prompts[index]) + len(answers[index]) < context
        ]
        if not going:
            return
        if len(going) < len(active):
            keep = torch.tensor(going)
            cache.keep_rows(keep)
            active = [active[row] for row in going]
            chosen, mask, positions = chosen[keep], mask[keep], positions[keep]
        ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(active), 1)], 1)
        positions = positions[:, -1:] + 1
