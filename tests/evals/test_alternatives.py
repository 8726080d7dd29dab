"""Alternative continuations score what each scores alone, in any batches and with any common beginning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.evals.alternatives import Alternatives, nats_of_alternatives
from tapeout.evals.likelihood import Window, nats
from tapeout.evals.loaded_model import LoadedModel

pytestmark = pytest.mark.environment("nemo")

IDS = st.lists(st.integers(0, 319), min_size=1, max_size=12)


@st.composite
def groups_of_windows(draw: st.DrawFn) -> list[Alternatives]:
    groups, sequence = [], 0
    for _ in range(draw(st.integers(1, 4))):
        prompt, windows = draw(IDS), []
        for rest in draw(st.lists(IDS, min_size=1, max_size=4)):
            ids = prompt + rest
            if len(ids) > 1:
                windows.append(Window(sequence, ids, draw(st.integers(1, len(ids) - 1))))
                sequence += 1
        groups.append(Alternatives(windows))
    return [group for group in groups if group.windows]


@settings(max_examples=60, deadline=None)
@given(groups=groups_of_windows(), batch_tokens=st.sampled_from([1, 60, 4096]))
def test_alternatives_score_what_each_scores_alone(
    model: LoadedModel, groups: list[Alternatives], batch_tokens: int
) -> None:
    windows = [window for group in groups for window in group.windows]
    expected = nats(model.network, windows, len(windows), 1)
    found = nats_of_alternatives(model.network, groups, len(windows), batch_tokens)
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_common_beginning_is_computed_once(model: LoadedModel) -> None:
    """Four choices of 2 tokens after a prompt of 40: the last token of the prompt belongs to each of them."""
    prompt = list(range(3, 43))
    group = Alternatives([Window(index, [*prompt, 50 + index, 60], 40) for index in range(4)])
    shapes = []
    hook = model.network.model.layers[0].register_forward_hook(
        lambda layer, inputs, output: shapes.append(tuple(inputs[0].shape[:2]))
    )
    try:
        sums = nats_of_alternatives(model.network, [group], 4, 4096)
    finally:
        hook.remove()
    assert shapes == [(1, 39), (4, 3)]
    assert len(set(sums)) == 4 and bool(torch.tensor(sums).isfinite().all())
