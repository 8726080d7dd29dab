"""Interface of a training method.

A method is a module of ``tapeout.train.methods``, or a module outside of this package that is named by its dotted name.
Its rule declares it, ``plugins=["tapeout.train.methods.<method>"]``; its program calls
``tapeout.train.run.run_method``, for adapters ``tapeout.train.run_adapter.run_adapter``, or for adapters of a Hugging
Face model ``tapeout.train.run_automodel.run_automodel``.
docs/extending.md shows how to add one. The module must import without torch and numpy, because the configuration is
checked in an environment that has neither.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from tapeout import plugins
from tapeout.config.training import Training

if TYPE_CHECKING:
    import lightning.pytorch as lightning
    from nemo.lightning.pytorch.callbacks.peft import PEFT

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.nemo.lora import LoraModel
    from tapeout.train.samples import TrainingData

SEAM = "tapeout.train.methods"
Once = Callable[[str, Callable[[Path], object]], Path]
"""``once(name, make)`` returns a file or folder in the scratch folder of the step, which one process of each machine
writes with ``make(path)``."""


class AnyMethod(Protocol):
    """Members of every training method, provided by a module."""

    @property
    def Parameters(self) -> type[Training]:
        """Parameters of the method; a section of the configuration."""

    def data(self, job: Any, tokenizer: Path, inputs: Mapping[str, Any], once: Once) -> "TrainingData":
        """Return the samples of the whole training run, the same in every layout.

        They are read from memory-mapped files: those of the inputs, or those that ``once`` writes.
        """

    def callbacks(self, job: Any) -> "list[lightning.Callback]":
        """Return further callbacks; these must not have state, because no checkpoint contains it."""


class Method(AnyMethod, Protocol):
    """Training of a Megatron model."""

    KIND: Literal["pretrain", "finetune"]
    """NeMo's recipe, ``nemo.collections.llm.pretrain`` or ``finetune``."""

    def loss(self, job: Any) -> "tuple[ForwardStep, LossReduction]":
        """Return the forward step, which computes the loss of a micro-batch, and the reduction over the batch."""

    def files(self, job: Any, inputs: Mapping[str, Any]) -> Mapping[str, str]:
        """Return text files that belong to the trained model, by name."""


class AdapterMethod(Method, Protocol):
    """Training of an adapter of a Megatron model, whose own weights do not change."""

    def adapters(self, job: Any, base: Path) -> "LoraModel":
        """Return adapters for the model; ``base`` is its Hugging Face folder."""


class AutoModelMethod(AnyMethod, Protocol):
    """Training of an adapter of a Hugging Face model, in one process."""

    KIND: Literal["automodel"]

    def peft(self, job: Any) -> "PEFT":
        """Return NeMo's transform, which adds matrices A and B to linear layers and keeps all other weights."""


def load_method(name: str) -> Method:
    """Return the method ``name``.

    Raises:
        UnknownPlugin: there is no such module.
        InvalidPlugin: a step runs, and its rule does not declare the module.
    """
    return cast(Method, plugins.load(SEAM, name))


def load_adapter_method(name: str) -> AdapterMethod:
    """Return the method ``name``, which trains an adapter of a Megatron model; see ``load_method``."""
    return cast(AdapterMethod, plugins.load(SEAM, name))


def load_automodel_method(name: str) -> AutoModelMethod:
    """Return the method ``name``, which trains an adapter of a Hugging Face model; see ``load_method``."""
    return cast(AutoModelMethod, plugins.load(SEAM, name))
