"""Program of ``tapeout batch``: the sequences of one step of a training, computed as the training computes them.

No rule runs it, so it is not part of any step's code. It runs in the environment of the training, with a file that
describes the training, and prints JSON.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from tapeout import plugins
from tapeout.config.learning_rate import learning_rate
from tapeout.config.training import Training
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.guard.tar import unpack
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.program import StepFailed, named_errors
from tapeout.train.batches import batch_sequences
from tapeout.train.launch import single_rank
from tapeout.train.method import SEAM, Method
from tapeout.train.samples import TrainingData

Ids = list[int]
MAX_RATES = 200
"""Steps whose learning rates are reported."""
REPORT = "report.json"
"""Counts that the rule of an encoded data set writes."""
CONTEXT = "context/"
"""Beginning of the names of an archive's members that are not weights."""


def report(request: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Return the batch of a step.

    Args:
        request: ``plugins``, ``params`` and ``inputs`` of the training's rule, and ``step`` and ``rank`` (or None).
        scratch: folder for what the training writes before its first step.
    """
    method = _method(request["plugins"])
    job = method.Parameters.model_validate(request["params"])
    inputs = {
        name: [Path(path) for path in value] if isinstance(value, list) else Path(value)
        for name, value in request["inputs"].items()
        if name != "model"
    }
    tokenizer = _tokenizer(Path(request["inputs"]["model"]), scratch / "model")
    data = method.data(job, tokenizer, inputs, single_rank(scratch).once)
    found = batch(data, job, load_encoder(tokenizer), request["step"], request["rank"])
    return {
        **found,
        "sets": [asdict(use) for use in data.train.uses()],
        "encoded": {**_encoded(inputs), **({"pairs": data.report} if data.report else {})},
        "learning_rates": [[step, learning_rate(job, step)] for step in _spread(job.max_steps)],
    }


def _spread(steps: int) -> list[int]:
    """Return the numbers of all steps, or of ``MAX_RATES`` of them from the first to the last."""
    if steps <= MAX_RATES:
        return list(range(1, steps + 1))
    return [1 + number * (steps - 1) // (MAX_RATES - 1) for number in range(MAX_RATES)]


def _encoded(inputs: Mapping[str, Path | list[Path]]) -> dict[str, Any]:
    """Return what the encoding of each data set counted for the training split, by the name of its folder."""
    folders = inputs.get("encoded", [])
    files = [folder / REPORT for folder in (folders if isinstance(folders, list) else [folders])]
    return {file.parent.name: json.loads(file.read_bytes())["train"] for file in files if file.is_file()}


def batch(data: TrainingData, job: Training, encoder: Encoder, step: int, rank: int | None) -> dict[str, Any]:
    """Return the sequences of a step, or of one rank in it, with their tokens, masks and sources.

    ``filled`` is the share of the positions that have a token. ``example`` is the first row or document as pieces of
    text, each with whether its tokens have a loss.
    """
    sequences, filled = [], []
    example: list[tuple[str, bool]] = []
    for index in batch_sequences(job, step, rank):
        sample = data.train[index]
        mask, tokens = sample.mask.tolist(), sample.tokens.tolist()
        sources = [
            {
                "name": span.name,
                "start": span.start,
                "end": span.end,
                "tokens_with_loss": sum(mask[span.start : span.end]),
                "text": encoder.decode(tokens[span.start : span.end]),
            }
            for span in data.train.sources(index)
        ]
        filled.append(1.0 if sample.segments is None else float((sample.segments >= 0).mean()))
        if not example and sources:
            example = _pieces(encoder, *_row(tokens, sample.labels.tolist(), mask, sources[0]))
        parts = {"tokens": tokens, "labels": sample.labels.tolist(), "mask": mask}
        sequences.append({"index": index, "sources": sources, **parts})
    share = sum(filled) / max(1, len(filled))
    return {"step": step, "rank": rank, "sequences": sequences, "filled": share, "example": example}


def _row(tokens: Ids, labels: Ids, mask: Ids, source: Mapping[str, Any]) -> tuple[Ids, Ids]:
    """Return the ids of a row or document, with its last label, and which of them have a loss."""
    start, end = source["start"], source["end"]
    return [*tokens[start:end], *labels[end - 1 : end]], [0, *mask[start:end]]


def _pieces(encoder: Encoder, ids: Ids, flags: Ids) -> list[tuple[str, bool]]:
    """Return ids as pieces of text, each with whether its tokens have a loss; control pieces have their names."""
    found = []
    for trained, pairs in groupby(zip(ids, flags, strict=True), key=lambda pair: bool(pair[1])):
        text = b"".join(encoder.id_to_bytes(token) for token, _ in pairs)
        found.append((text.decode(errors="replace"), trained))
    return found


def _method(names: list[str]) -> Method:
    """Return the training method among the modules that a rule declares."""
    for name in names:
        module = plugins.load(SEAM, name)
        if hasattr(module, "KIND") and hasattr(module, "Parameters") and hasattr(module, "data"):
            return cast(Method, module)
    raise StepFailed("Its rule declares no training method.", "Name an artifact that is trained, for example sft.")


def _tokenizer(model: Path, scratch: Path) -> Path:
    """Return the tokenizer of a model, which may be an archive."""
    if model.is_file():
        unpack(model, scratch, beginning=CONTEXT)
        model = scratch
    return tokenizer_path(model)


def main() -> None:
    """Print the batch that the file of the first argument asks for."""
    with named_errors(), tempfile.TemporaryDirectory(prefix="batch-") as scratch:
        json.dump(report(json.loads(Path(sys.argv[1]).read_bytes()), Path(scratch)), sys.stdout)


if __name__ == "__main__":
    main()
