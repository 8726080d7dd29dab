"""Parameters of the exports: accuracy, facts for the model card, and prompts of the training."""

from pydantic import Field

from tapeout.config.instructions import EncodeJob
from tapeout.config.section import Section
from tapeout.config.sources import SourceName

EXPORTED = "sft/model"
"""Artifact of the model that the rule ``export_hf`` exports: the one that users get."""


class Accuracy(Section):
    """Accuracy that an exported model must have."""

    tolerance: float = Field(1e-4, gt=0, description="Maximum difference of a logit from the NeMo model's.")
    parity_tokens: int = Field(
        128,
        ge=0,
        description="Length of the sequence of fixed tokens on which logits are compared; with 0 only the tensors are, "
        "as for a model that does not fit in memory.",
    )


class Export(Accuracy):
    """Accuracy and licence of the exported model."""

    licence: str | None = Field(
        None,
        min_length=1,
        description="Licence under which you release the model, such as Apache-2.0, for its model card. Without it the "
        "card states none, and `tapeout publish` refuses the model.",
    )

    @property
    def accuracy(self) -> Accuracy:
        """The options that every export has."""
        return Accuracy(tolerance=self.tolerance, parity_tokens=self.parity_tokens)


class Attribution(Section):
    """Origin and licence of a source whose content is in the model."""

    origin: str = Field(min_length=1, description="Where it comes from.")
    licence: str = Field(min_length=1, description="Its licence.")


class Stage(Section):
    """Length of a training, for the model card."""

    max_steps: int = Field(ge=1, description="Optimizer steps.")
    global_batch_size: int = Field(ge=1, description="Sequences per step.")
    seq_length: int = Field(ge=1, description="Tokens of a sequence.")


class CardFacts(Section):
    """What the model card states and the model's folder does not contain."""

    licence: str | None = Field(None, description="Licence under which the model is released.")
    base_model: str | None = Field(None, description="Hugging Face repository of the base model, if it has one.")
    new_pieces: int = Field(ge=0, description="Pieces that were added to the vocabulary of the base model.")
    pretraining: Stage = Field(description="Continued pretraining on domain text.")
    tuning: Stage = Field(description="Instruction tuning.")


class ExportJob(Accuracy):
    """Parameters of the rule ``export_hf``; the attributions go into NOTICE and the model card."""

    encoding: EncodeJob = Field(description="Prompts of the training.")
    systems: tuple[str, ...] = Field(description="System messages that conversations without one got.")
    tokenizer: Attribution = Field(description="Source of the base tokenizer.")
    base: Attribution | None = Field(None, description="Source of the base model; null if it was made here.")
    trained_on: dict[SourceName, Attribution] = Field(
        min_length=1, description="Sources of the training text, by name."
    )
    card: CardFacts = Field(description="Facts for the model card.")


class ExportNemoJob(Accuracy):
    """Parameters of the rule ``export_nemo``."""

    encoding: EncodeJob = Field(description="Prompts of the training.")
