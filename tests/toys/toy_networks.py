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

        def forward(
            self, input_ids: torch.Tensor, attention_mask: Any = None, past_key_values: Any = None, **_: Any
        ) -> Any:
            """Return the logits as hidden states, which ``lm_head`` leaves as they are; a cache holds the tokens."""
            new = input_ids.shape[1]
            if past_key_values is not None:
                states = input_ids[:, None, :, None]
                input_ids = past_key_values.update(states, states, 0)[0][:, 0, :, 0]
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            rows = [self._logits(*row, new) for row in zip(input_ids, mask.bool(), strict=True)]
            return type("Output", (), {"last_hidden_state": torch.stack(rows)})

        def _logits(self, ids: torch.Tensor, seen: torch.Tensor, new: int) -> torch.Tensor:
            """Return the logits after each of the last ``new`` tokens; after masked ones, those of the first."""
            row = ids[seen].tolist()
            indices = [max(int(seen[: end + 1].sum()) - 1, 0) for end in range(len(ids) - new, len(ids))]
            return torch.stack([self.predict(row, index) for index in indices])


def bigrams(probabilities: torch.Tensor) -> ToyNetwork:
    """Return a network that predicts from the last token alone; rows of the table are that token."""
    logits = probabilities.log()
    return ToyNetwork(lambda row, index: logits[row[index]])
