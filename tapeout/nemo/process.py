"""Prepare a process for NeMo: deterministic and isolated from other jobs on the machine."""

import ctypes
import os
import tempfile

import torch

DETERMINISTIC_ON_GPU = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "NCCL_ALGO": "Ring",
    "CUDA_DEVICE_MAX_CONNECTIONS": "1",
}
"""Variables that make results on a GPU deterministic, with PyTorch's and Megatron's own switches."""


def prepare(threads: int, gpu: bool = False, deterministic: bool = True) -> None:
    """Install the shim and set everything outside the configuration that could change a result or hang a job.

    Without ``gpu`` this process sees no GPU: results on the CPU must not depend on one. With a GPU, kernels that are
    not ``deterministic`` are allowed if the caller wants speed more than equal bytes.

    Inside a Slurm job Lightning would take ranks and ports from Slurm's variables although these describe other tasks;
    NeMo would stage every tokenizer in one folder of the machine, where concurrent imports overwrite each other.
    """
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif deterministic:
        os.environ |= DETERMINISTIC_ON_GPU
    os.environ["OMP_NUM_THREADS"] = str(threads)  # otherwise Lightning takes as many threads as the machine has
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    _reuse_freed_memory()
    torch.set_num_threads(threads)
    if deterministic:
        torch.use_deterministic_algorithms(True)
        # the memory-efficient kernel and that of cuDNN sum their gradients in any order
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)
    torch.utils.deterministic.fill_uninitialized_memory = False
    from tapeout.nemo.shim import install

    install(gpu)
    _stage_tokenizers_privately()


def _reuse_freed_memory() -> None:
    """Let glibc reuse the memory of freed tensors instead of clearing new pages: saves 10 to 20 % of a step."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        library.mallopt(mmap_threshold, 32 * 2**20)
        library.mallopt(trim_threshold, 2**31 - 1)


def _stage_tokenizers_privately() -> None:
    from nemo.lightning.io.connector import ModelConnector

    original = ModelConnector.save_hf_tokenizer_assets

    def save(self: ModelConnector, name: str, save_path: str | None = None) -> str:
        folder = save_path or os.path.join(tempfile.mkdtemp(), "nemo_tokenizer")
        staged: str = original(self, name, folder)
        return staged

    ModelConnector.save_hf_tokenizer_assets = save
