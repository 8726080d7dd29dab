"""LoRA adapters of Megatron's linear layers, with the names and shapes that PEFT gives those of Hugging Face.

Megatron fuses projections: ``linear_qkv`` has the rows of q_proj, k_proj and v_proj, interleaved by query group, and
``linear_fc1`` those of gate_proj and up_proj. Each projection has its own adapter, as with PEFT, and the family's table
of weights (``tapeout.models.layout``) puts the rows of B where those of the weights are. So nothing has to be taken
apart afterwards, and a single projection can have an adapter.

NeMo's own classes (nemo_toolkit 2.4.1) are not used. ``LoRA`` has one A for a fused layer. ``CanonicalLoRA`` has
several, but adds their rows in the order q, k, v, which is not Megatron's with query groups. Both create the optimizer
after the callbacks that load a checkpoint, and draw initial values that depend on the layout.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from megatron.core.parallel_state import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from megatron.core.tensor_parallel import (
    ColumnParallelLinear,
    RowParallelLinear,
    copy_to_tensor_model_parallel_region,
    gather_from_sequence_parallel_region,
    reduce_from_tensor_model_parallel_region,
    reduce_scatter_to_sequence_parallel_region,
)
from torch import Tensor, distributed
from torch.nn.functional import linear, pad

from tapeout.config.low_rank import LowRank
from tapeout.guard.errors import UnusableModel
from tapeout.models.adapter import Adapter
from tapeout.models.layout import Part
from tapeout.nemo.forward import megatron_model

LAYERS, WEIGHT = "decoder.layers.", ".weight"
GATED = "mlp.linear_fc1"
"""Layer with the rows of a gate above those of what it gates."""


class LinearAdapter(torch.nn.Module):  # type: ignore[misc]
    """Adapters of the projections of one linear layer of Megatron; every tensor-parallel rank has all of them.

    Attributes:
        sources: names of the weights of its projections in the Hugging Face model.
        join: puts the rows of the projections in Megatron's order.
        dim: rank of an adapter.
        scale: factor of its product.
        rows: outputs of each projection.
        adapted: indices of the projections that have an adapter.
        divides_rows: whether the ranks share the layer's outputs, and not its inputs.
        halves: number of matrices, one above the other, of which each rank has its part.
        gathers: whether the ranks share the positions outside of the layer.
    """

    def __init__(self, part: Part, layer: Any, chosen: Collection[str], job: LowRank, seed: int) -> None:
        """Begin with a random A and with B = 0, so that nothing changes.

        Args:
            part: the layer's weights, and those of its projections.
            layer: Megatron's layer.
            chosen: names of the projections that get an adapter.
            job: rank and factor.
            seed: seed of A, together with the name of the projection.
        """
        super().__init__()
        self.sources, self.join = part.sources, part.join
        self.dim, self.scale = job.dim, job.alpha / job.dim
        self.divides_rows = isinstance(layer, ColumnParallelLinear)
        self.halves = 2 if layer.config.gated_linear_unit and _path(part) == GATED else 1
        self.gathers = layer.config.sequence_parallel
        width = layer.input_size
        self.rows = [len(rows) for rows in part.split(torch.empty(layer.output_size, 1, device="meta"))]
        self.adapted = [number for number, source in enumerate(part.sources) if layer_name(source) in chosen]
        for number in self.adapted:
            a = initial_values(layer_name(part.sources[number]), job.dim, width, seed)
            b = torch.zeros(self.rows[number], job.dim)
            self.register_parameter(f"a{number}", torch.nn.Parameter(a.to(layer.weight)))
            self.register_parameter(f"b{number}", torch.nn.Parameter(b.to(layer.weight)))

    def pairs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return A [dim, in] and B [out, dim] of each projection by its name in the Hugging Face model."""
        names = [layer_name(self.sources[number]) for number in self.adapted]
        return dict(zip(names, self._matrices(), strict=True))

    def _matrices(self) -> list[tuple[Tensor, Tensor]]:
        """Return A and B of each projection that has them."""
        return [(getattr(self, f"a{number}"), getattr(self, f"b{number}")) for number in self.adapted]

    def fused(self) -> tuple[Tensor, Tensor]:
        """Return all A as one matrix [n, in], and a matrix [rows, n] in the order of Megatron's rows.

        In the second one the B of a projection has its own columns, and 0 in those of the others.
        """
        matrices, width = self._matrices(), len(self.adapted) * self.dim
        a = torch.cat([a for a, _ in matrices])
        blocks = [a.new_zeros(rows, width) for rows in self.rows]
        for position, (number, (_, b)) in enumerate(zip(self.adapted, matrices, strict=True)):
            first = position * self.dim
            blocks[number] = pad(b, (first, width - first - self.dim))
        return a, self.join(blocks)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return what is added to the layer's output, [s, b, rows], for its input [s, b, in].

        Tensor-parallel ranks have a part of the rows or of the inputs, and with sequence parallelism a part of the
        positions on the other side of the layer. What a rank computes from a part of something has a part of the
        gradient, of which ``copy_to_tensor_model_parallel_region`` is the sum over the ranks.
        """
        a, b = self.fused()
        ranks, own = get_tensor_model_parallel_world_size(), get_tensor_model_parallel_rank()
        if self.divides_rows:
            narrow = linear(hidden, copy_to_tensor_model_parallel_region(a) if self.gathers else a)
            gather = gather_from_sequence_parallel_region if self.gathers else copy_to_tensor_model_parallel_region
            parts = copy_to_tensor_model_parallel_region(b).chunk(self.halves)
            return self.scale * linear(gather(narrow), torch.cat([part.chunk(ranks)[own] for part in parts]))
        narrow = linear(hidden, copy_to_tensor_model_parallel_region(a).chunk(ranks, 1)[own])
        if self.gathers:
            b = copy_to_tensor_model_parallel_region(b)
            return self.scale * linear(reduce_scatter_to_sequence_parallel_region(narrow), b)
        return self.scale * linear(reduce_from_tensor_model_parallel_region(narrow), b)

    def _load_from_state_dict(self, *_: Any) -> None:
        """Keep the initial values: no checkpoint of a model has adapters."""


class Adapted(torch.nn.Module):  # type: ignore[misc]
    """Linear layer with an adapter. No forward hook, because with hooks compiled layers would not share a graph."""

    def forward(self, hidden: Tensor, *arguments: Any, **options: Any) -> tuple[Tensor, Any]:
        """Add to the output of the layer."""
        output, bias = super().forward(hidden, *arguments, **options)
        return output + self.adapter(hidden), bias

    def sharded_state_dict(self, prefix: str = "", *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return the layer's own weights: adapters are part of no checkpoint of a model."""
        own = super().sharded_state_dict(prefix, *arguments, **options)
        return {name: value for name, value in own.items() if not name.startswith(f"{prefix}adapter.")}


class AdaptedColumns(Adapted, ColumnParallelLinear):  # type: ignore[misc]
    """Layer whose outputs the tensor-parallel ranks share."""


class AdaptedRows(Adapted, RowParallelLinear):  # type: ignore[misc]
    """Layer whose inputs the tensor-parallel ranks share."""


ADAPTED = {ColumnParallelLinear: AdaptedColumns, RowParallelLinear: AdaptedRows}


@dataclass(frozen=True)
class LoraModel:
    """Adapters for a model, and what they are after the training.

    Attributes:
        parts: correspondence of the model's weights.
        job: layers, rank and factor.
        seed: seed of the initial values.
    """

    parts: Sequence[Part]
    job: LowRank
    seed: int

    def attach(self, gpt: Any) -> Any:
        """Give Megatron's model adapters, and return it; all its own weights become constants.

        Raises:
            UnusableModel: no layer of the model has one of the names in ``target_modules``, or this stage of a pipeline
                has no layer with an adapter.
        """
        own = {layer.layer_number - 1: layer for layer in gpt.decoder.layers}
        some = next(iter(own.values()))
        linears = [
            part
            for part in self.parts
            if part.layer is not None
            and part.megatron.endswith(WEIGHT)
            and type(some.get_submodule(_path(part))) in ADAPTED
        ]
        chosen = self._chosen([layer_name(source) for part in linears for source in part.sources])
        gpt.requires_grad_(False)
        here = [part for part in linears if part.layer in own and chosen & {layer_name(one) for one in part.sources}]
        if not here:
            raise UnusableModel(
                "A stage of the pipeline has no layer with an adapter.",
                "Name layers of every stage in target_modules, or set layout.pipeline_model_parallel_size: 1.",
            )
        for part in here:
            layer = own[part.layer].get_submodule(_path(part))
            layer.adapter = LinearAdapter(part, layer, chosen, self.job, self.seed)
            layer.__class__ = ADAPTED[type(layer)]
        if gpt.pre_process:
            gpt.embedding.register_forward_hook(_with_gradient)
        return gpt

    def adapter(self, model: Any) -> Adapter:
        """Return the adapter of NeMo's model, from all stages of a pipeline; every rank calls this."""
        pairs = {
            name: (a.detach().cpu(), b.detach().cpu())
            for adapter in megatron_model(model).modules()
            if isinstance(adapter, LinearAdapter)
            for name, (a, b) in adapter.pairs().items()
        }
        if distributed.get_world_size() > 1:
            gathered: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(gathered, pairs)
            pairs = {name: pair for part in reversed(gathered) for name, pair in part.items()}
        return Adapter(self.job.dim, self.job.alpha, pairs)

    def _chosen(self, names: Sequence[str]) -> set[str]:
        """Return the names of the layers that get an adapter."""
        chosen = set()
        for target in self.job.target_modules:
            found = [name for name in names if target == name.rpartition(".")[2] or fnmatchcase(name, target)]
            if not found:
                last = dict.fromkeys(name.rpartition(".")[2] for name in names)
                raise UnusableModel(
                    f"No linear layer of the model has the name {target} that target_modules states.",
                    f"Name layers of this family, {', '.join(last)}, or a pattern of their paths, such as {names[0]}.",
                )
            chosen.update(found)
        return chosen


def initial_values(layer: str, dim: int, width: int, seed: int) -> Tensor:
    """Return A [dim, width], uniform about 0 with PEFT's bound; it depends on the seed and the layer's name alone."""
    digest = hashlib.sha256(f"{seed} {layer}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.empty(dim, width, device="cpu").uniform_(-(width**-0.5), width**-0.5, generator=generator)


def layer_name(source: str) -> str:
    """Return the name of the Hugging Face layer that has a tensor as its weights."""
    return source.removesuffix(WEIGHT)


def _path(part: Part) -> str:
    """Return the name of a linear layer in a decoder layer of Megatron."""
    return part.megatron.removeprefix(LAYERS).removesuffix(WEIGHT)


def _with_gradient(_: Any, __: Any, output: Tensor) -> Tensor:
    """Let the embedding's output have a gradient; a forward hook.

    Without it, layers that are computed again in the backward pass would have none: all their inputs are constants.
    """
    return output.requires_grad_() if torch.is_grad_enabled() else output
