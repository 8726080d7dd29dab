"""Loss of direct preference optimization (Rafailov et al., arXiv 2305.18290)."""

from typing import Any

import torch
from megatron.core import parallel_state
from torch import Tensor, distributed

from tapeout.config.training import Training
from tapeout.nemo.forward import ForwardStep, LossReduction
from tapeout.nemo.log_probabilities import log_probabilities
from tapeout.nemo.loss import Vocabulary
from tapeout.nemo.pipeline import forward_outputs
from tapeout.train.dataset import own_batches
from tapeout.train.pair_samples import PAIR, REJECTED, Pairs
from tapeout.train.samples import Excerpt


class PreferenceStep(ForwardStep):
    """Forward step that returns the reward margin of each pair of a micro-batch, [b], in double precision.

    The reward of an answer is beta times the change of its log-probability since the start of the training; the margin
    is that of the chosen answer minus that of the rejected one.
    """

    def __init__(self, beta: float) -> None:
        """Leave the reference open until ``measure``."""
        super().__init__()
        self.beta = beta
        self.reference: Tensor | None = None
        """Log-probabilities of the answers of each pair under the initial model, [pairs, 2]; 0 for unused pairs."""

    def measure(self, model: Any, samples: Pairs, job: Training, device: torch.device) -> None:
        """Compute the reference: the one copy of the model has the initial weights now.

        Each replica computes a part, in the micro-batches of the first epoch, so that the log-probabilities of the
        first step are the same to the bit.
        """
        indices: list[int] = []

        def noted() -> Any:
            for batch in own_batches(Excerpt(samples, samples.first_epoch), job, device):
                indices.extend(batch[PAIR].tolist())
                yield batch

        found = list(forward_outputs(self, model, noted()))
        reference = torch.zeros(len(samples.locations), 2, dtype=torch.float64, device=device)
        if found:
            reference[torch.tensor(indices, device=device)] = torch.cat(found)
        distributed.all_reduce(reference, group=parallel_state.get_data_parallel_group())
        self.reference = reference

    def output(self, hidden: Tensor, weight: Tensor, vocabulary: Vocabulary, batch: dict[str, Tensor]) -> Tensor:
        """Return the reward margins [b], or, before there is a reference, the log-probabilities of both answers [b, 2].

        An answer's log-probability is the sum over its tokens and its end.
        """
        tokens = log_probabilities(hidden, weight, vocabulary, batch["labels"], batch["loss_positions"])
        positions = torch.arange(tokens.size(1), device=tokens.device)
        is_rejected = positions >= batch[REJECTED][:, None]
        answers = torch.stack([tokens.masked_fill(other, 0).sum(1) for other in (is_rejected, ~is_rejected)], 1)
        if self.reference is None:
            return answers
        chosen, rejected = (answers - self.reference[batch[PAIR]]).unbind(1)
        return self.beta * (chosen - rejected)


class PreferenceReduction(LossReduction):
    """Mean over the pairs of a batch of the negative logarithm of the sigmoid of the reward margin."""

    METRICS = ("reward_margin", "accuracy")

    def loss(self, output: Tensor) -> Tensor:
        """Return the sum of the losses from the margins [b]."""
        return torch.nn.functional.softplus(-output).sum()

    def count(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the number of pairs."""
        return torch.tensor(len(batch[PAIR]), device=batch[PAIR].device)

    def sums(self, batch: dict[str, Tensor], output: Tensor) -> list[Tensor]:
        """Return the tokens with a loss, the sum of the margins, and how many are above 0."""
        return [batch["loss_mask"].sum(), output.sum(), (output > 0).sum()]

    def values(self, total: Tensor) -> list[float]:
        """Return the loss, the number of tokens, the mean margin, and the fraction of margins above 0."""
        pairs, tokens, margin, correct = total[1:].tolist()
        return [float((total[0] / total[1]).float()), int(tokens), margin / pairs, correct / pairs]
