"""Inputs of the report's section on the tokenizer, and the models that are evaluated for it alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tapeout.config.root import Settings
from tapeout.config.tokenizer_panel import SURGERY, TokenizerPanelJob, TrainingCost

BITS = "bits_per_byte"
"""Task by which the models are compared."""


@dataclass(frozen=True)
class PanelWiring:
    """Parts of rules for the section on the tokenizer; a graph without new pieces has none.

    Attributes:
        settings: the whole configuration.
        artifact: ``Layer.artifact``, which returns an input for an artifact's name and a path in it.
    """

    settings: Settings
    artifact: Callable[..., Any]

    @property
    def model(self) -> str:
        """Artifact of the model whose embedding is looked at: the pretrained one, else the one that was extended."""
        evaluation = self.settings.evaluation
        pretrained = evaluation.adaptation.pretrained
        return "base_extended" if pretrained is None else evaluation.models[pretrained]

    @property
    def further_models(self) -> dict[str, str]:
        """Artifacts of models that are evaluated for the section alone, by the name in the path of their result."""
        settings = self.settings
        has_bits = BITS in settings.evaluations and settings.evaluation.adaptation.base is not None
        return {SURGERY: "base_extended"} if has_bits and settings.tokenizer.new_pieces else {}

    @property
    def scored_models(self) -> dict[str, str]:
        """Artifact of each model that the rule ``evaluate`` scores, by name."""
        return {**self.settings.evaluation.models, **self.further_models}

    @property
    def report_inputs(self) -> dict[str, Any]:
        """Inputs of the evaluation report: the panel, and bits per byte of further models."""
        if not self.settings.tokenizer.new_pieces:
            return {}
        names = {"surgery": SURGERY}
        bits = {key: name for key, name in names.items() if name in self.further_models}
        return {
            "tokenizer_panel": self.artifact("tokenizer_panel.json"),
            **{key: self.artifact(f"evaluation/{name}/{BITS}.json") for key, name in bits.items()},
        }

    def job(self, gpu: str, gpu_flops: float) -> TokenizerPanelJob:
        """Return the parameters of the rule ``tokenizer_panel``; GPU hours are those of GPUs with an assumed rate."""
        settings = self.settings
        rows = settings.base.rows, settings.base.rows + settings.tokenizer.new_pieces
        architecture, reads_corpora = settings.base.architecture, settings.dapt.reads == "corpus"
        return TokenizerPanelJob(
            base_file=settings.tokenizer.base_file_name,
            file=settings.tokenizer.file_name,
            context=architecture.seq_length,
            training=TrainingCost.of(settings.dapt, architecture, rows, gpu, gpu_flops) if reads_corpora else None,
        )
