"""Model family from outside of the package: GPT-2 with one layer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tapeout.config import base
from tapeout.errors import TapeoutError
from tapeout.models.layout import Part, renamed

if TYPE_CHECKING:
    from transformers import GPT2Config, GPT2LMHeadModel

MODEL_TYPE = "gpt2"
NEMO_CONFIGS = ("ToyConfig",)
INERT: dict[str, tuple[Any, ...]] = {}
SPECIAL_PIECES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


class Architecture(base.Architecture):
    """Options of the toy: only the width can be chosen."""

    width: int = Field(default=16, ge=2, description="Width of the residual stream, with one head for every 2.")

    def parameter_count(self, vocabulary: int) -> int:
        """Return the number of weights, with separate input and output rows."""
        embeddings = (2 * vocabulary + self.seq_length) * self.width
        return embeddings + 12 * self.width**2 + 13 * self.width + 2 * self.width

    def forward_flop(self, vocabulary: int, seq_length: int) -> int:
        """Return two FLOP per weight of the matrices, and those of attention."""
        return 2 * (12 * self.width**2 + vocabulary * self.width) + 4 * self.width * seq_length


def architecture_of(config: "GPT2Config") -> Architecture:
    """Return the architecture that a Hugging Face configuration states."""
    return Architecture(width=config.n_embd, seq_length=config.n_positions)


def architecture_from_nemo(arguments: Mapping[str, Any]) -> Architecture:
    """Return the architecture of a checkpoint whose context records it."""
    return Architecture(width=arguments["width"], seq_length=arguments["seq_length"])


def huggingface_config(architecture: Architecture, vocabulary: int, **ids: Any) -> "GPT2Config":
    """Return a configuration without dropout and with separate input and output rows."""
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=vocabulary,
        n_positions=architecture.seq_length,
        n_embd=architecture.width,
        n_layer=1,
        n_head=architecture.width // 2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        torch_dtype="float32",
        **ids,
    )


def model_class() -> "type[GPT2LMHeadModel]":
    """Return the Hugging Face class."""
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel


def tokenizer_config() -> dict[str, Any]:
    """Return the settings of a SentencePiece tokenizer."""
    return {"tokenizer_class": "LlamaTokenizer", **SPECIAL_PIECES}


def nemo_model(architecture: Architecture, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
    """Refuse: NeMo has no such model."""
    raise TapeoutError("NeMo has no model of the toy family.", "Evaluate it as a Hugging Face folder.")


def parts(config: "GPT2Config") -> list[Part]:
    """Return the tensors of a model, whose names in a checkpoint have the prefix ``gpt.``."""
    layer = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    modules = [*(f"transformer.h.0.{name}" for name in layer), "transformer.ln_f"]
    matrices = ["transformer.wte.weight", "transformer.wpe.weight", "lm_head.weight"]
    names = matrices + [f"{module}.{kind}" for module in modules for kind in ("weight", "bias")]
    return [renamed(f"gpt.{name}", None, name) for name in names]
