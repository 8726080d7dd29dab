"""Convert a random model of several gigabytes between Hugging Face and NeMo-2 in one gigabyte of memory.

Run ``python -m benchmarks.streaming_conversion FOLDER`` in the nemo environment, as a user who may create control
groups; it needs five times the model's size on disk and deletes it. Each step is a process of its own in a memory
control group with the limit: pages that it allocates, and the cache of files that it reads and writes, which the kernel
drops when memory is scarce. A limit of the address space (RLIMIT_AS) would not do: the libraries alone reserve 2 GB of
addresses that they never touch, and a mapped file counts although none of it need be in memory.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import tables

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path("/sys/fs/cgroup")
KILLED = 9
PAGE = Path(__file__).with_suffix(".md")
VOCABULARY, WIDTH = 32_000, 2048
DIMENSIONS = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 8192,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


def main() -> None:
    """Run one step if it is named, otherwise all of them; write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="new folder for all files")
    parser.add_argument("--layers", type=int, default=31, help="31 layers are 4 GB")
    parser.add_argument("--limit", type=int, default=10**9, help="memory of each process in bytes")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        report(lambda: STEPS[options.step](options.folder, options.layers))
        return
    options.folder.mkdir(parents=True)
    try:
        rows = [limited(step, options) for step in STEPS]
    finally:
        shutil.rmtree(options.folder)
    tables.write(PAGE, paragraphs(options.layers, options.limit, rows))


def limited(step: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run a step in a process of its own with the limit, and return what it and its control group measured."""
    started = time.monotonic()
    with control_group(options.limit) as group:
        command = [sys.executable, "-m", "benchmarks.streaming_conversion", options.folder, "--step", step]
        entered = ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "-", *command]
        command = [*entered, "--layers", str(options.layers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
        measured = {"step": step, "seconds": round(time.monotonic() - started), "group": peak(group)}
    last = done.stdout.strip().splitlines()[-1:] if not done.returncode else []
    if done.returncode and (step, done.returncode) != ("NeMo's own importer", -KILLED):
        raise SystemExit(f"{step}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-6000:]}")
    row = {**measured, **(json.loads(last[0]) if last else {"killed": True})}
    print(json.dumps(row), flush=True)
    return row


@contextmanager
def control_group(limit: int) -> Iterator[Path]:
    """Create a memory control group, of version 1 or 2, and delete it."""
    second = (ROOT / "cgroup.controllers").exists()
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.rpartition(":")[2] for line in groups if ":memory:" in line), "")
    group = Path(tempfile.mkdtemp(dir=ROOT if second else Path(f"{ROOT}/memory{own}")))
    names = ("memory.max", "memory.swap.max") if second else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    for name, value in zip(names, (limit, 0 if second else limit), strict=True):
        (group / name).write_text(str(value))
    try:
        yield group
    finally:
        group.rmdir()


def peak(group: Path) -> int:
    """Return the largest memory of a control group, with the cache of files."""
    names = ("memory.peak", "memory.max_usage_in_bytes")
    return int(next((group / name).read_text() for name in names if (group / name).exists()))


def report(step: Callable[[], int]) -> None:
    """Run a step and print its result with the largest memory of this process."""
    largest, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            largest[0] = max(largest[0], memory("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        size = step()
    finally:
        done.set()
        watcher.join()
    print(json.dumps({"bytes": size, "resident": memory("VmHWM"), "own": largest[0]}))


def memory(name: str) -> int:
    """Return a number of bytes of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def size_of(path: Path) -> int:
    """Return the bytes of a file or folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


class RandomWeights(Mapping[str, "Tensor"]):
    """State dict of random numbers, which are drawn at each look-up from the name of the tensor."""

    def __init__(self, model: "Mapping[str, Tensor]") -> None:
        self.model = model

    def __getitem__(self, name: str) -> "Tensor":
        """Return a tensor; its values depend on its name alone."""
        import torch

        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        like, generator = self.model[name], torch.Generator().manual_seed(seed)
        bits = torch.randint(-(2**15), 2**15, like.shape, dtype=torch.int16, generator=generator)
        bits &= -0x4001  # exponents below 128: every number is finite
        return bits.view(torch.bfloat16)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all tensors."""
        return iter(self.model)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.model)


def create(folder: Path, layers: int) -> int:
    """Write the random model in several files."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

    from benchmarks.gpu_training import tokenizer
    from tapeout.models.weights_writer import write_weights

    source = folder / "source"
    source.mkdir()
    config = LlamaConfig(**DIMENSIONS, num_hidden_layers=layers, architectures=["LlamaForCausalLM"])
    config.save_pretrained(source)
    (source / "tokenizer.model").write_bytes(tokenizer())
    LlamaTokenizer(str(source / "tokenizer.model"), legacy=False).save_pretrained(source)
    with torch.device("meta"):
        empty = {name: tensor.bfloat16() for name, tensor in LlamaForCausalLM(config).state_dict().items()}
    write_weights(source, empty, RandomWeights(empty), 10**9)
    return size_of(source)


def to_nemo(folder: Path, _: int) -> int:
    """Convert the model to a NeMo-2 checkpoint, and compare every bit."""
    from tapeout.nemo.process import prepare

    prepare(threads=2)
    from tapeout.nemo.convert import import_checkpoint

    import_checkpoint(folder / "source", folder / "checkpoint", folder)
    return size_of(folder / "checkpoint")


def packing(folder: Path, _: int) -> int:
    """Write the checkpoint as one archive."""
    from tapeout.nemo.archive import pack

    pack(folder / "checkpoint", folder / "model.nemo")
    shutil.rmtree(folder / "checkpoint")
    return size_of(folder / "model.nemo")


def unpacking(folder: Path, _: int) -> int:
    """Unpack the archive."""
    from tapeout.guard.tar import unpack

    unpack(folder / "model.nemo", folder / "unpacked")
    (folder / "model.nemo").unlink()
    return size_of(folder / "unpacked")


def to_hugging_face(folder: Path, _: int) -> int:
    """Convert the checkpoint to a Hugging Face folder with several files, and compare every bit with the source."""
    from tapeout.models.weights_folder import FolderWeights
    from tapeout.nemo.convert import compare_tensors, export_weights

    export_weights(folder / "unpacked", folder / "exported", 10**9)
    compare_tensors(FolderWeights(folder / "source"), FolderWeights(folder / "exported"))
    return size_of(folder / "exported")


def nemos_own(folder: Path, _: int) -> int:
    """Convert the model with NeMo's own importer, for comparison."""
    from tapeout.nemo.process import prepare

    prepare(threads=2)
    from nemo.collections.llm.gpt.model.llama import HFLlamaImporter

    class Importer(HFLlamaImporter):  # type: ignore[misc]
        """The importer with norms of the model's type, which it asserts; Megatron's local layers have others."""

        def nemo_setup(self, model: Any, trainer: Any = None) -> Any:
            trainer = super().nemo_setup(model, trainer)
            model.module.to(model.config.params_dtype)
            return trainer

    Importer(folder / "source")(output_path=folder / "theirs")
    return size_of(folder / "theirs")


STEPS: dict[str, Callable[[Path, int], int]] = {
    "random model": create,
    "Hugging Face to NeMo-2": to_nemo,
    "pack": packing,
    "unpack": unpacking,
    "NeMo-2 to Hugging Face": to_hugging_face,
    "NeMo's own importer": nemos_own,
}


def paragraphs(layers: int, limit: int, rows: list[dict[str, Any]]) -> list[str]:
    """Return the page."""
    size, largest = rows[0]["bytes"], VOCABULARY * WIDTH * 2
    sizes = ["own", "resident", "group"]
    cells = [
        [row["step"], str(row["seconds"]), *(f"{row[name] / 1e6:,.0f}" if name in row else "killed" for name in sizes)]
        for row in rows
    ]
    return [
        "# Conversions in bounded memory",
        f"Written by `python -m benchmarks.streaming_conversion`: a random Llama of {layers} layers in bfloat16, "
        f"{size / 1e6:,.0f} MB in files of at most 1 GB; its largest tensor has {largest / 1e6:,.0f} MB. Each step is "
        f"a process in a memory control group of {limit / 1e6:,.0f} MB, without swap. The conversions compare every "
        "bit, and the second also compares its result with the first model. The machine also did other work.",
        tables.table(["step", "seconds", *(f"{name}, MB" for name in sizes)], cells),
        "Maxima: `own` is memory that the process allocated; `resident` also has mapped files, which are the "
        "libraries, loaded before by other processes, and weights while they are read; `group` also has the cache of "
        "the files that it reads and writes, with which the kernel fills the group up to its limit.",
        "Of `own`, NeMo and PyTorch take about 520 MB in the conversion to NeMo-2, whatever the model. NeMo's own "
        "importer has the model in memory several times.",
    ]


if __name__ == "__main__":
    main()
