"""Windows of long sequences, and likelihoods in parts."""

import pytest

from tapeout.evals.likelihood import Window, nats, split
from tapeout.evals.loaded_model import LoadedModel

pytestmark = pytest.mark.environment("nemo")

CONTEXT = 64


@pytest.mark.parametrize("length", [2, 63, 64, 65, 100, 300])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_windows_predict_each_token_once(length: int, overlap: float) -> None:
    ids = list(range(length))
    windows = list(split(0, ids, CONTEXT, overlap))
    predicted = [token for window in windows for token in window.ids[window.first :]]
    assert predicted == ids[1:]
    assert all(len(window.ids) <= CONTEXT and window.first >= 1 for window in windows)
    assert all(window.first >= max(1, int(overlap * CONTEXT)) for window in windows[1:])


def test_more_logits_than_one_part(model: LoadedModel) -> None:
    windows = [Window(index % 3, [1] + [5 + index % 7] * 63, 1) for index in range(40)]
    whole = nats(model.network, windows, 3, 100_000)
    parts = [nats(model.network, windows[index : index + 1], 3, 64) for index in range(40)]
    assert whole == pytest.approx([sum(part[sequence] for part in parts) for sequence in range(3)], rel=1e-6)
