"""Save a NeMo-2 checkpoint whose tensors are read one at a time, when they are written.

Megatron itself decides which tensors there are, how they are cut into chunks, in which file each chunk lies, and how it
is written: it plans the save of a model that has no data (PyTorch's device ``meta``), and writes each chunk as always.
Only the content comes from elsewhere. The checkpoint therefore has the bytes of one that was saved from memory.
"""

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.planner import WriteItem

Read = Callable[[WriteItem], Tensor]
"""Returns the content of a chunk, whose name, offset, shape and dtype are those of the item."""


def save_lazily(connector: Any, output: Path, read: Read) -> None:
    """Save the model of a NeMo importer without having it in memory.

    Args:
        connector: an importer of NeMo, with the path of its source.
        output: new folder for the checkpoint: context and weights.
        read: see ``Read``.

    Raises:
        OSError: a file cannot be written; also whatever ``read`` raises.
    """
    from megatron.core import parallel_state

    model = connector.init()
    model.config.init_model_with_meta_device = True  # not recorded in the context, which has the importer's arguments
    trainer = connector.nemo_setup(model)
    model.module.to(model.config.params_dtype)  # the norms of Megatron's local layers would be 32-bit floats
    try:
        with _content_from(read):
            connector.nemo_save(output, trainer)
    finally:  # NeMo's own teardown would copy the model to the CPU first
        parallel_state.destroy_model_parallel()
        torch.distributed.destroy_process_group()


@contextmanager
def _content_from(read: Read) -> Iterator[None]:
    """Make Megatron's writer write in this process, and take the content of each chunk from ``read``."""
    from megatron.core.dist_checkpointing.strategies import filesystem_async as megatron

    writer: Any = megatron.FileSystemWriterAsync
    originals = megatron._get_write_results_queue, writer.get_save_function_and_args

    def write(self: Any) -> tuple[None, None, list[Any]]:
        results = {}
        transforms = [self.transforms] if hasattr(self, "transforms") else []
        for number, (path, name, (objects, tensors)) in enumerate(self.write_buckets):
            bucket = (path, name, (objects, _contents(tensors, read)))
            result = _write(writer.write_preloaded_data, transforms, number, bucket)
            if isinstance(result, Exception):
                raise result
            results[number] = result
        self.results_queue.put(results)
        return None, None, []  # nothing is left for another process to do

    megatron._get_write_results_queue = queue.Queue
    writer.get_save_function_and_args = write
    try:
        yield
    finally:
        megatron._get_write_results_queue, writer.get_save_function_and_args = originals


def _write(write_bucket: Callable[..., None], transforms: list[Any], number: int, bucket: Any) -> Any:
    """Write one file with Megatron's own function; return its results or its exception."""
    results: queue.Queue[tuple[int, Any]] = queue.Queue()
    count: queue.Queue[int] = queue.Queue()
    count.put(number)
    write_bucket(transforms, number, bucket, results, count, use_fsync=True)
    return results.get_nowait()[1]


def _contents(tensors: Sequence[tuple[WriteItem, Tensor]], read: Read) -> Iterator[tuple[WriteItem, Tensor]]:
    """Yield the items with their content, and free the content of the one before: the caller still holds it."""
    for item, _ in tensors:
        tensor = read(item)
        yield item, tensor
        if tensor.untyped_storage().resizable():
            tensor.untyped_storage().resize_(0)
