"""Direct preference optimization: chosen answers become more probable than rejected ones (arXiv 2305.18290)."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from tapeout.config.instructions import RecordFiles
from tapeout.config.section import conflict
from tapeout.config.sources import SourceName
from tapeout.config.training import Training
from tapeout.data.encode.prompt import TEMPLATE_FILE

if TYPE_CHECKING:
    import lightning.pytorch as lightning

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.method import Once
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "callbacks", "data", "files", "loss"]

KIND = "finetune"


class Parameters(Training, RecordFiles):
    """Preference training from the initial model, which is also the reference."""

    PACKED = TEMPLATED = True

    sources: tuple[SourceName, ...] = Field(
        min_length=1, description="Sources with the pairs: records with the fields prompt, chosen and rejected."
    )
    beta: float = Field(
        0.1,
        gt=0,
        description="Scale of the rewards; a larger one keeps the model nearer to the initial one.",
    )
    max_steps: int = Field(100, ge=1, description="Optimizer steps.")
    lr: float = Field(1e-6, gt=0, description="Peak learning rate.")
    seq_length: int = Field(
        256, ge=8, description="Maximum tokens of a pair, with the prompt before each answer; longer pairs are dropped."
    )
    global_batch_size: int = Field(8, ge=1, description="Pairs per step.")
    micro_batch_size: int = Field(
        8, ge=1, description="Pairs in one forward pass; only the last bits of a result depend on it."
    )

    @property
    def read_sources(self) -> tuple[str, ...]:
        """Sources with the pairs."""
        return self.sources

    @model_validator(mode="after")
    def _rank_has_whole_answers(self) -> Self:
        if self.layout.context_parallel_size > 1:
            raise conflict(
                "layout.context_parallel_size divides sequences, and this method needs the whole answers of a pair",
                "Remove layout.context_parallel_size; the other options of layout divide the model.",
                "layout.context_parallel_size",
            )
        return self

    @model_validator(mode="after")
    def _precision_is_tested(self) -> Self:
        if self.precision == "fp8":
            raise conflict(
                "precision fp8 is not supported for this method, whose loss is a small difference of large sums",
                "Set precision: bf16-mixed.",
                "precision",
            )
        return self


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], once: "Once") -> "TrainingData":
    """Return the pairs, each in a sequence of its own.

    ``inputs`` are ``pairs``, folders of sources, and ``template``, the file with the prompt template of the model.

    Raises:
        BadRow: a record is no pair, and ``bad_rows`` is ``stop``.
        UnreadableFile: see ``read_records``.
        NotEnoughData: no pair is left.
    """
    from tapeout.train.pair_samples import Pairs
    from tapeout.train.samples import TrainingData

    folder = once("pairs", lambda path: _write(job, tokenizer, inputs, path))
    return TrainingData(Pairs(folder, job), report=json.loads((folder / "report.json").read_bytes()))


def _write(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], output: Path) -> None:
    """Write the pairs as token ids, and counts of what was read and dropped."""
    from tapeout.data.encode.preference_pairs import encoded_pairs
    from tapeout.data.errors import BadRow, NotEnoughData
    from tapeout.data.instructions.reading import read_records
    from tapeout.data.instructions.report import ImportReport
    from tapeout.encoder.load import load_encoder
    from tapeout.train.pair_samples import write_pairs

    output.mkdir(parents=True)
    report = ImportReport(job.bad_rows)
    records = read_records({folder.name: folder for folder in inputs["pairs"]}, job, report)
    encoder, template = load_encoder(tokenizer), _template(inputs)
    try:
        count = write_pairs(encoded_pairs(records, encoder, template, job.seq_length, job, report), output)
    except BadRow as error:
        error.fix = "Correct the record, or set bad_rows: drop for the method, which drops and counts such records."
        raise
    dropped = f", {report.dropped.total()} dropped ({report.summary()})" if report.dropped else ""
    print(f"{count} preference pairs{dropped}", file=sys.stderr, flush=True)
    if not count:
        raise NotEnoughData(
            f"No preference pair can be trained on{dropped}.",
            "Raise seq_length of the method, or name other sources or files.",
        )
    (output / "report.json").write_text(json.dumps({"pairs": count, **report.as_json()}, sort_keys=True))


def _template(inputs: Mapping[str, Any]) -> str:
    """Return the prompt template of the model that the training starts from."""
    template: str = json.loads(inputs["template"].read_bytes())["template"]
    return template


def loss(job: Parameters) -> "tuple[ForwardStep, LossReduction]":
    """Return the loss of pairs, whose reference is measured when the training starts."""
    from tapeout.train.preference import PreferenceReduction, PreferenceStep

    return PreferenceStep(job.beta), PreferenceReduction()


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return no further callbacks."""
    return []


def files(job: Parameters, inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the prompt template, which is that of the initial model."""
    return {TEMPLATE_FILE: json.dumps({"template": _template(inputs)}) + "\n"}
