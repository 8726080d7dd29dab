"""Parameters of the exports: accuracy, facts for the model card, and prompts of the training."""

from typing import Literal

from pydantic import Field, field_validator

from tapeout.config.container import pinned
from tapeout.config.evaluation import ArtifactName, may_be_model
from tapeout.config.instructions import EncodeJob
from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName

ANSWERS = "instruction_answers"
"""Task whose answers the exported model must give again."""


class Accuracy(Section):
    """Type of the exported weights, and accuracy that the exported model must have."""

    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None, description="Type that the weights are rounded to; null: that of the trained weights."
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="Maximum difference of a logit from the trained model's, whose weights are rounded alike. Answers "
        "may differ only where two tokens are as close to each other.",
    )
    parity_tokens: int = Field(
        128,
        ge=0,
        description="Length of the sequence of fixed tokens on which logits are compared; with 0 only the tensors and "
        "the token ids are, as for a model that does not fit in memory.",
    )


class Export(Accuracy):
    """The model that users get."""

    model: ArtifactName = Field(
        "sft/model",
        description="Artifact of the exported model: a NeMo checkpoint, such as sft/model or dpo/model, or a Hugging "
        "Face folder, such as lora/merged.",
    )

    licence: str | None = Field(
        None,
        min_length=1,
        description="Licence under which you release the model, such as Apache-2.0, for its model card. Without it the "
        "card states none, and `tapeout publish` refuses the model.",
    )

    gguf_dtype: Literal["f32", "f16", "bf16"] | None = Field(
        None,
        description="Type of the matrices in `export/model.gguf`, not quantized; null for that of `export/hf`. Norms "
        "and biases are 32-bit floats, as llama.cpp expects.",
    )

    @field_validator("model")
    @classmethod
    def _is_model(cls, model: str) -> str:
        if not may_be_model(model):
            cause = f"{model} is not a model folder such as sft/model"
            raise conflict(cause, "Name the artifact of a model; of an adapter, its merged model.", ())
        return model

    @property
    def accuracy(self) -> Accuracy:
        """The part that the rules of all formats get; the model is their input."""
        return Accuracy(**{name: getattr(self, name) for name in Accuracy.model_fields})


class ServeCheck(Section):
    """Smoke test of a server with the exported model."""

    server: Literal["transformers", "vllm"] = Field(
        "transformers", description="Server: that of transformers, or vLLM, whose environment is installed on request."
    )
    prompts: int = Field(8, ge=1, description="Maximum number of test prompts; each is asked three times.")


class Deploy(Section):
    """Settings of servers, for the files of ``deploy/nim``."""

    name: str = Field(
        "chip-design-model",
        pattern=r"^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$",
        description="Name of the model in requests, and of the resources in Kubernetes.",
    )
    gpus: int = Field(1, ge=1, description="GPUs of one server, by which each tensor is divided.")
    image: str | None = Field(
        None, description="Image of NIM LLM 2.x by digest, NAME@sha256:DIGEST; null: named when it is started."
    )
    image_1x: str | None = Field(None, description="Image of NIM LLM 1.x by digest; null: named when it is started.")

    @field_validator("image", "image_1x")
    @classmethod
    def _pinned(cls, image: str | None) -> str | None:
        return pinned(image)


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
    """Facts for the model card that the model's folder does not contain."""

    licence: str | None = Field(None, description="Licence under which the model is released.")
    base_model: str | None = Field(None, description="Hugging Face repository of the base model, if it has one.")
    new_pieces: int = Field(ge=0, description="Pieces that were added to the vocabulary of the base model.")
    model: ArtifactName = Field(description="Artifact of the trained model.")
    pretraining: Stage | None = Field(None, description="Pretraining of a base model that was made here.")
    stages: dict[str, Stage] = Field(
        description="Trainings that made it from the base model, by name, in order; empty if a rule of yours makes it."
    )

    @property
    def has_seen_questions(self) -> bool:
        """True if a stage trained the model on instruction rows; a rule of yours is assumed to."""
        return self.stages.keys() != {"dapt"}


class PromptsJob(Accuracy):
    """Parameters of rules that render the prompts of the training."""

    encoding: EncodeJob = Field(description="Prompts of the training.")
    systems: tuple[str, ...] = Field(description="System messages that conversations without one got.")


class ExportGgufJob(PromptsJob):
    """Parameters of the rule ``export_gguf``."""

    gguf_dtype: Literal["f32", "f16", "bf16"] | None = Field(None, description="Type of the matrices.")


class ExportJob(PromptsJob):
    """Parameters of the rule ``export_hf``; the attributions go into NOTICE and the model card."""

    tokenizer: Attribution = Field(description="Source of the base tokenizer.")
    base: Attribution | None = Field(None, description="Source of the base model; null if it was made here.")
    trained_on: dict[SourceName, Attribution] = Field(
        min_length=1, description="Sources of the training text, by name."
    )
    card: CardFacts = Field(description="Facts for the model card.")


class CertificateJob(PromptsJob):
    """Parameters of the rule ``certificate``."""

    max_new_tokens: int = Field(ge=1, description="Maximum length of an answer, as in the evaluation.")


class ServeCheckJob(PromptsJob, ServeCheck):
    """Parameters of the rule ``serve_check``."""

    max_new_tokens: int = Field(ge=1, description="Maximum length of an answer, as in the evaluation.")


class ExportAdapterJob(Section):
    """Parameters of the rule ``export_adapter``."""

    tolerance: float = Field(gt=0, description="Maximum difference of a logit from the merged model's.")
    parity_tokens: int = Field(ge=0, description="Length of the sequence on which logits are compared; 0 for none.")


class ExportNemoJob(Accuracy):
    """Parameters of the rule ``export_nemo``."""

    encoding: EncodeJob = Field(description="Prompts of the training.")
