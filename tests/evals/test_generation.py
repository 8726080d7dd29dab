"""Greedy decoding against the plainest implementation."""

import pytest
import torch

from tapeout.evals.generation import greedy
from tapeout.evals.loaded_model import LoadedModel

pytestmark = pytest.mark.environment("nemo")

CONTEXT = 64


def plain(model: LoadedModel, prompt: list[int], end: int, pieces: int, limit: int) -> list[int]:
    """Decode one row without cache and padding."""
    ids = list(prompt)
    while len(ids) - len(prompt) < limit and len(ids) < CONTEXT:
        with torch.inference_mode():
            ids.append(int(model.network(torch.tensor([ids])).logits[0, -1, :pieces].argmax()))
        if ids[-1] == end:
            break
    return ids[len(prompt) :]


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    lengths = (3, 50, 17, 4, 62, 30, 8)
    return [[1, *torch.randint(3, 300, (length - 1,), generator=generator).tolist()] for length in lengths]


def test_equal_to_plain_decoding_for_any_batch(model: LoadedModel) -> None:
    expected = [plain(model, prompt, 2, 320, 24) for prompt in prompts()]
    for rows in (1, 3, 7):
        done: list[int] = []
        answers = greedy(model.network, prompts(), {2}, 320, 24, CONTEXT, rows, done.append)
        assert answers == expected
        assert done[-1] == 7
    assert len(expected[4]) == 2  # the context is full


def test_stops_at_the_end_token(model: LoadedModel) -> None:
    free = [plain(model, prompt, -1, 320, 24) for prompt in prompts()]
    end = free[0][5]
    expected = [plain(model, prompt, end, 320, 24) for prompt in prompts()]
    assert len(expected[0]) <= 6 and expected[0][-1] == end
    assert greedy(model.network, prompts(), {end}, 320, 24, CONTEXT, 4, lambda done: None) == expected


def test_padding_rows_of_the_vocabulary_are_never_chosen(model: LoadedModel) -> None:
    pieces = 10
    answers = greedy(model.network, prompts(), {2}, pieces, 8, CONTEXT, 7, lambda done: None)
    assert answers == [plain(model, prompt, 2, pieces, 8) for prompt in prompts()]
    assert max(max(answer) for answer in answers) < pieces
