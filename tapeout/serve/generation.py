"""Generate the tokens of an answer, one after another."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from tapeout.config.serving import Sampling
from tapeout.serve.errors import RequestFailed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROMPT_CHUNK = 256
"""Tokens of a prompt that are read at once; between two chunks, a generation can be cancelled."""
COLD = 1e-4
"""Temperature below which the likeliest token is chosen, as if it were 0: quotients would not be finite."""


@torch.inference_mode()  # type: ignore[untyped-decorator]
def generate(
    network: "PreTrainedModel",
    prompt: Sequence[int],
    pieces: int,
    ends: Collection[int],
    limit: int,
    sampling: Sampling,
    cancelled: Callable[[], bool],
) -> Iterator[int]:
    """Yield tokens until one of ``ends``, which is the last, or until there are ``limit``.

    Args:
        network: causal language model with the interface of Hugging Face.
        prompt: at least one token.
        pieces: size of the tokenizer; rows of the embedding beyond it are padding and are never chosen.
        ends: tokens that end an answer.
        limit: maximum number of tokens.
        sampling: how a token is chosen.
        cancelled: asked before each step; the generation ends when it returns True.

    Raises:
        RequestFailed: the model computes numbers that are not finite.
    """
    random = torch.Generator()
    if sampling.seed is None:
        random.seed()
    else:
        random.manual_seed(sampling.seed)
    cache = DynamicCache()
    ids = torch.tensor([list(prompt)])
    for start in range(0, ids.shape[1] - 1, PROMPT_CHUNK):
        if cancelled():
            return
        chunk = ids[:, start : min(start + PROMPT_CHUNK, ids.shape[1] - 1)]
        network(chunk, cache=cache, use_cache=True, logits_to_keep=1)
    last = ids[:, -1:]
    for _ in range(limit):
        if cancelled():
            return
        logits = network(last, cache=cache, use_cache=True, logits_to_keep=1).logits[0, -1, :pieces]
        if not bool(torch.isfinite(logits).all()):
            raise RequestFailed("The model computes numbers that are not finite.", "Check its weights.", status=500)
        token = choose(logits.float(), sampling, random)
        yield token
        if token in ends:
            return
        last = torch.tensor([[token]])


def choose(logits: torch.Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """Return the likeliest token, or draw one among the likeliest whose probabilities together reach ``top_p``."""
    if sampling.temperature < COLD:
        return int(logits.argmax())
    probabilities, order = torch.softmax((logits - logits.max()) / sampling.temperature, -1).sort(
        descending=True, stable=True
    )
    if sampling.top_p < 1:
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.where(before < sampling.top_p, torch.zeros(()))
    return int(order[torch.multinomial(probabilities, 1, generator=random)])
