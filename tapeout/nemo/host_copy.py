"""Copy of a tensor in the memory of the CPU that does not make the GPU wait."""

import torch
from torch import Tensor


class HostCopy:
    """Copy of a tensor that is made when the GPU reaches it, and read later.

    ``tensor.item()`` waits until the GPU has done all of its work, after which it has nothing to do until Python has
    given it more. A copy that is read when later work has been queued costs nothing.
    """

    def __init__(self, tensor: Tensor) -> None:
        """Queue the copy."""
        self.tensor = tensor.detach().to("cpu", non_blocking=True)  # in pinned memory, if it comes from a GPU
        self.done: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self.done = torch.cuda.Event()
            self.done.record()

    def read(self) -> Tensor:
        """Wait for the copy, but not for what was queued after it, and return it."""
        if self.done is not None:
            self.done.synchronize()
        return self.tensor
