"""Program of ``tapeout batch``: the sequences of one step of a training, computed as the training computes them.

No rule runs it, so it is not part of any step's code. It runs in the environment of the training, with a file that
describes the training, and prints JSON.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tapeout import plugins
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
    return batch(data, job, load_encoder(tokenizer), request["step"], request["rank"])


def batch(data: TrainingData, job: Training, encoder: Encoder, step: int, rank: int | None) -> dict[str, Any]:
    """Return the sequences of a step, or of one rank in it, with their tokens, masks and sources."""
    sequences = []
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
        parts = {"tokens": tokens, "labels": sample.labels.tolist(), "mask": mask}
        sequences.append({"index": index, "sources": sources, **parts})
    return {"step": step, "rank": rank, "sequences": sequences}


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
