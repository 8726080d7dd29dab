"""Networks with probabilities that a test chooses, so that what a model scores is known by hand.

They have what evaluation uses of a Hugging Face model: ``model``, ``lm_head`` and ``device``.
"""

from collections.abc import Callable
from typing import Any

import torch

Predict = Callable[[list[int], int], torch.Tensor]
"""Function of the tokens of a row and an index in it to the logits of the next token."""


class ToyNetwork(torch.nn.Module):
    """Network whose logits are a function of the tokens of one forward pass."""

    device = torch.device("cpu")

    def __init__(self, predict: Predict) -> None:
        """Make the network."""
        super().__init__()
        self.model = self._Body(predict)
        self.lm_head = torch.nn.Identity()

    class _Body(torch.nn.Module):
        def __init__(self, predict: Predict) -> None:
            super().__init__()
            self.predict = predict

        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            """Return the logits as hidden states, which ``lm_head`` leaves as they are."""
            rows = [torch.stack([self.predict(row, index) for index in range(len(row))]) for row in input_ids.tolist()]
            return type("Output", (), {"last_hidden_state": torch.stack(rows)})


def bigrams(probabilities: torch.Tensor) -> ToyNetwork:
    """Return a network that predicts from the last token alone; rows of the table are that token."""
    logits = probabilities.log()
    return ToyNetwork(lambda row, index: logits[row[index]])
