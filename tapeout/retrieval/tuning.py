"""Fine-tuning of an embedding model on questions and their passages.

The loss is the library's MultipleNegativesRankingLoss: each question must be closer to its own passage than to the
passages of the other questions of the batch and to hard negatives, the wrong passages that BM25 ranks highest. The loop
is ours, because the library's trainer needs more packages and writes times and paths.
"""

import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tapeout.config.embedder_tuning import TuningJob
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import write_json
from tapeout.progress import report as report_progress
from tapeout.retrieval import bm25
from tapeout.retrieval.embedder import WEIGHTS, open_embedder
from tapeout.retrieval.errors import UnusableEmbedder
from tapeout.retrieval.passages import Passage
from tapeout.retrieval.question import Question


class Example(NamedTuple):
    """Question with a right passage and wrong ones, by position."""

    question: Question
    right: int
    wrong: tuple[int, ...]


def examples_of(questions: Sequence[Question], passages: Sequence[Passage], job: TuningJob) -> list[Example]:
    """Return the examples of the first questions by digest, in this order."""
    position = {passage.id: number for number, passage in enumerate(passages)}
    chosen = sorted(questions, key=lambda question: question.digest)[: job.max_pairs]
    index = bm25.fit([passage.searched for passage in passages])
    examples = []
    for question in chosen:
        right = {position[name] for name in question.passages}
        hits = bm25.rank(index, [question.question], job.hard_negatives + len(right))[0]
        wrong = [hit.position for hit in hits if hit.position not in right][: job.hard_negatives]
        examples.append(Example(question, min(right), tuple(wrong)))
    return examples


def batches(examples: Iterable[Example], passages: Sequence[Passage], size: int, seed: str) -> Iterator[list[Example]]:
    """Yield batches of one epoch, in an order that the seed decides; the last ones may be smaller.

    No passage of a batch is right for two of its questions, which would make it a wrong negative: an example that does
    not fit waits for the next batch. A batch of one example has no negative and is left out.
    """
    waiting = list(examples)
    random.Random(seed).shuffle(waiting)
    while waiting:
        batch: list[Example] = []
        later: list[Example] = []
        for example in waiting:
            fits = len(batch) < size and all(_are_apart(example, other, passages) for other in batch)
            (batch if fits else later).append(example)
        if len(batch) > 1:
            yield batch
        waiting = later


def _are_apart(one: Example, other: Example, passages: Sequence[Passage]) -> bool:
    """Return whether no passage of one example is right for the other."""
    shown = [{passages[place].id for place in (example.right, *example.wrong)} for example in (one, other)]
    return shown[0].isdisjoint(other.question.passages) and shown[1].isdisjoint(one.question.passages)


def tune(model: Path, questions: Sequence[Question], passages: Sequence[Passage], job: TuningJob, output: Path) -> None:
    """Write the fine-tuned model: the same files with other weights, and train_log.json.

    Raises:
        NotEnoughData: there are not two questions that fit into a batch.
        UnusableEmbedder: the weights file lacks a trained weight.
    """
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    examples = examples_of(questions, passages, job)
    epochs = [list(batches(examples, passages, job.batch_size, f"{job.seed} {epoch}")) for epoch in range(job.epochs)]
    steps = [batch for epoch in epochs for batch in epoch]
    if not steps:
        raise NotEnoughData("No two training questions have different passages.", "Use more training cores.")
    torch.manual_seed(job.seed)
    embedder = open_embedder(model, job.threads)
    embedder.max_seq_length = min(job.max_tokens, embedder.max_seq_length)
    embedder.train()
    loss_of = MultipleNegativesRankingLoss(embedder, scale=job.scale)
    optimizer, schedule = _optimizer(embedder, len(steps), job)
    losses = []
    for number, batch in enumerate(steps, start=1):
        columns = [[example.question.question for example in batch], *_passages(batch, passages, job.hard_negatives)]
        features = [embedder.preprocess(column) for column in columns]
        loss = loss_of(features, torch.zeros(len(batch)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(embedder.parameters(), job.grad_clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append({"step": number, "loss": round(loss.item(), 6), "questions": len(batch)})
        report_progress(number, len(steps), loss=loss.item())
    _save(embedder, model, output)
    counts = {"examples": len(examples), "passages": len(passages), "steps": losses}
    write_json(output / "train_log.json", {**counts, "job": job.identity()})


def _passages(batch: Sequence[Example], passages: Sequence[Passage], hard: int) -> Iterator[list[str]]:
    """Yield a column of right passages and columns of wrong ones, with a passage for each question."""
    yield [passages[example.right].searched for example in batch]
    for number in range(min(hard, *(len(example.wrong) for example in batch))):
        yield [passages[example.wrong[number]].searched for example in batch]


def _optimizer(embedder: Any, steps: int, job: TuningJob) -> tuple[Any, Any]:
    import torch

    weights = [parameter for parameter in embedder.parameters() if parameter.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": job.weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=job.lr, foreach=False)
    warmup = max(1, round(job.warmup * steps))

    def factor(step: int) -> float:
        return (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def _save(embedder: Any, model: Path, output: Path) -> None:
    """Write the files of the model with the weights that the embedder has; what was not trained stays as it is."""
    from safetensors.torch import load_file, save_file

    before, after = load_file(model / WEIGHTS), embedder[0].model.state_dict()
    if lacking := after.keys() - before.keys():
        raise UnusableEmbedder(f"{WEIGHTS} has no tensor {min(lacking)}.", "Choose a model with all of its weights.")
    shutil.copytree(model, output, ignore=shutil.ignore_patterns(WEIGHTS, "train_log.json"))
    weights = {name: after[name].to(tensor.dtype) if name in after else tensor for name, tensor in before.items()}
    save_file({name: weights[name].contiguous() for name in sorted(weights)}, output / WEIGHTS, {"format": "pt"})
