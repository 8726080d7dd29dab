"""Instantiate every rank of a training's layout without memory, and check what it would have.

Run ``python -m benchmarks.meta_layout config/models/llama2-70b.yaml`` in the environment nemo: two minutes, 256 ranks.
Megatron's own model, gradient buffers and distributed optimizer are made for each rank on PyTorch's device ``meta``, in
a process group whose other ranks do not exist. The shards of all ranks must cover each tensor of the Hugging Face model
exactly, and the optimizer's parts of all replicas each parameter of a rank.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from tapeout.config.layout import Layout
from tapeout.config.load import load_files
from tapeout.costs.estimates import Estimates
from tapeout.models.family import Family, load_family

Shape = tuple[int, ...]
Shard = tuple[Shape, Shape, Shape]
"""Shape of a whole tensor; offset and shape of a shard of it."""


@dataclass(frozen=True)
class RankContent:
    """Weights, optimizer state and shards of one rank.

    Attributes:
        parameters: weights of its model.
        optimizer: weights whose optimizer state it has.
        shards: of each tensor by Megatron's name in a checkpoint; several of a tensor of all layers.
    """

    parameters: int
    optimizer: int
    shards: dict[str, list[Shard]]


def rank_content(family: Family, architecture: Any, rows: int, layout: Layout, number: int) -> RankContent:
    """Instantiate a rank of a layout and return what it has; ``prepare`` must have been called."""
    import torch
    from megatron.core import parallel_state
    from megatron.core.dist_checkpointing.mapping import ShardedTensor, apply_factories
    from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig
    from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from tapeout.nemo.attention import layer_spec

    cuda: Any = torch.cuda
    cuda.current_device = lambda: torch.device("meta")  # where Megatron allocates the gradient buffers
    torch.distributed.init_process_group("fake", rank=number, world_size=layout.world_size, store=FakeStore())
    parallel = {
        "tensor_model_parallel_size": layout.tensor_model_parallel_size,
        "pipeline_model_parallel_size": layout.pipeline_model_parallel_size,
    }
    parallel_state.initialize_model_parallel(**parallel, create_gloo_process_groups=False)
    try:
        config = family.nemo_model(architecture, rows, None, None).config
        further = {"sequence_parallel": layout.sequence_parallel, "pipeline_dtype": torch.bfloat16}
        meta = {"init_model_with_meta_device": True, "transformer_layer_spec": layer_spec}
        for name, value in {**parallel, **further, **meta}.items():
            setattr(config, name, value)
        model = config.configure_model(tokenizer=None)
        content = model.sharded_state_dict()
        apply_factories(content)
        shards: dict[str, list[Shard]] = {}
        for shard in content.values():
            for part in shard if isinstance(shard, list) else [shard]:
                if isinstance(part, ShardedTensor):
                    shape = (1,) * part.prepend_axis_num + tuple(part.local_shape)
                    shards.setdefault(part.key, []).append((tuple(part.global_shape), tuple(part.global_offset), shape))
        options = DistributedDataParallelConfig(use_distributed_optimizer=layout.distributed_optimizer)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        own = parameters
        if layout.distributed_optimizer:
            buffers = DistributedDataParallel(config, options, model).buffers
            maps = [
                found for buffer in buffers for found in DistributedOptimizer._build_gbuf_range_map(buffer).values()
            ]
            own = sum(part["param"].size for found in maps for bucket in found for part in bucket["param_map"].values())
        return RankContent(parameters, own, shards)
    finally:
        parallel_state.destroy_model_parallel()
        torch.distributed.destroy_process_group()


def whole_tensors(family: Family, architecture: Any, rows: int) -> dict[str, Shape]:
    """Return the shapes of the tensors in a checkpoint, which follow from the Hugging Face model's."""
    import torch

    config = family.huggingface_config(architecture, rows)
    with torch.device("meta"):
        weights = family.model_class()(config).state_dict()
    shapes: dict[str, Shape] = {}
    for part in family.parts(config):
        stacked = () if part.layer is None else (architecture.num_layers,)
        shapes[part.megatron] = (*stacked, *part.join([weights[source] for source in part.sources]).shape)
    return shapes


def uncovered(shapes: dict[str, Shape], ranks: Iterable[RankContent]) -> list[str]:
    """Return a message about each tensor that the shards of all ranks of a replica do not cover exactly."""
    tiles: dict[str, set[Shard]] = {}
    for rank in ranks:
        for name, shards in rank.shards.items():
            tiles.setdefault(name, set()).update(shards)
    messages = [f"only one of the models has {name}" for name in sorted(shapes.keys() ^ tiles.keys())]
    for name in sorted(shapes.keys() & tiles.keys()):
        if {whole for whole, _, _ in tiles[name]} != {shapes[name]}:
            messages.append(f"{name} has another shape than {shapes[name]}")
        elif not _cover(shapes[name], tiles[name]):
            messages.append(f"the shards of {name} do not cover it once")
    return messages


def _cover(whole: Shape, shards: set[Shard]) -> bool:
    """Return whether shards are the cells of a regular grid over a tensor, as those of equal ranks are."""
    sizes = {shape for _, _, shape in shards}
    grid = product(*(range(0, end, length) for end, length in zip(whole, min(sizes), strict=True)))
    return (
        len(sizes) == 1
        and {offset for _, offset, _ in shards} == set(grid)
        and all(
            start + length <= end
            for _, offset, shape in shards
            for start, length, end in zip(offset, shape, whole, strict=True)
        )
    )


def main() -> None:
    """Check all ranks of the training ``dapt`` of a configuration, and print a summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configuration")
    parser.add_argument("--replicas", type=int, help="check only so many replicas of the model")
    options = parser.parse_args()
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    print(json.dumps(check(options.configuration, options.replicas), indent=1))


def check(configuration: str, replicas: int | None = None) -> dict[str, Any]:
    """Instantiate the ranks of the training ``dapt`` of a configuration.

    Args:
        configuration: file that is merged with the default.
        replicas: number of copies of the model to check; None for all.

    Returns:
        what was found, as JSON values; ``problems`` is empty if all is as it should be.
    """
    settings = load_files([configuration])[0]
    architecture: Any = settings.base.architecture
    layout, rows = settings.dapt.layout, Estimates(settings).extended_pieces
    family = load_family(settings.base.family)
    started = time.monotonic()
    tensor, stages = layout.tensor_model_parallel_size, layout.pipeline_model_parallel_size
    checked = range(replicas or layout.copies)
    numbers = [
        (stage * layout.copies + replica) * tensor + part  # Megatron's order
        for replica, stage, part in product(checked, range(stages), range(tensor))
    ]
    found = {number: rank_content(family, architecture, rows, layout, number) for number in numbers}
    per_replica = tensor * stages
    groups = [numbers[start : start + per_replica] for start in range(0, len(numbers), per_replica)]
    shapes = whole_tensors(family, architecture, rows)
    problems = [message for group in groups for message in uncovered(shapes, (found[number] for number in group))]
    for index, number in enumerate(groups[0]):
        part = [found[group[index]] for group in groups]
        if len({rank.parameters for rank in part}) != 1:
            problems.append(f"replicas of rank {number} have other numbers of parameters")
        if replicas is None and layout.distributed_optimizer and sum(r.optimizer for r in part) != part[0].parameters:
            problems.append(f"the optimizers of the replicas of rank {number} do not cover its parameters")
    return {
        "ranks": len(found),
        "world_size": layout.world_size,
        "tensors": len(shapes),
        "parameters": sum(map(prod, shapes.values())),
        "forecast": architecture.parameter_count(rows),
        "stages": [found[groups[0][stage * tensor]].parameters for stage in range(stages)],
        "stages_forecast": [count // tensor for count in architecture.stage_parameters(rows, stages)],
        "optimizer": sorted({rank.optimizer for rank in found.values()}),
        "problems": problems,
        "seconds": round(time.monotonic() - started),
    }


if __name__ == "__main__":
    main()
