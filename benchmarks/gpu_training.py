"""Check that repeated training runs on GPUs write the same bytes, uninterrupted or stopped and resumed.

Run ``python -m benchmarks.gpu_training FOLDER --gpus N``, in an environment with NeMo and a CUDA build of PyTorch. It
trains a random model with the project's own programs, scripts/dapt.py and scripts/sft.py. Each chain below is one
training, or one that is stopped half-way and resumed; chains of one group must agree in every byte of the model's
folder, except those of the group "fast", which have no deterministic kernels and must differ. The model must not be
tiny: a tiny one gives the same bytes even without deterministic kernels. The losses of all layouts must be those of one
rank, but for rounding.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

PIECES = 32_000
FIRST_STEPS, MAX_DIFFERENCE = 4, 0.1
"""Steps in which the loss of a layout must be that of one rank, and how far it may be away; rounding grows later."""
TEMPLATE = "{input}\n### Answer: {output}"
WORDS = ("module", "input", "output", "wire", "always", "assign", "begin", "end", "posedge", "clk", "data", "valid")


@dataclass(frozen=True)
class Chain:
    """One training run.

    Attributes:
        name: name of its output.
        group: name of the chains that must agree.
        program: dapt or sft.
        layout: layout of its processes.
        stopped: whether it is stopped half-way and resumed.
        deterministic: whether its kernels are deterministic; without them bytes must differ, or the check is too easy.
    """

    name: str
    group: str
    program: str
    layout: dict[str, Any]
    stopped: bool = False
    deterministic: bool = True


def chains(gpus: int, accelerator: str) -> list[Chain]:
    """Return the training runs that a number of GPUs allows, the longest first."""
    one: dict[str, Any] = {"accelerator": accelerator}
    if accelerator == "gpu":
        one["gpu_model"] = gpu_model()
    found = [Chain("one", "one", "dapt", one), Chain("packed", "packed", "sft", one)]
    if gpus > 1:
        layouts: dict[str, dict[str, Any]] = {
            "data": {},
            "divided": {"distributed_optimizer": True},
            "tensor": {"tensor_model_parallel_size": 2},
            "sequence": {"tensor_model_parallel_size": 2, "sequence_parallel": True, "recompute": "selective"},
            "pipeline": {"pipeline_model_parallel_size": 2, "recompute": "full"},
            "context": {"context_parallel_size": 2, "distributed_optimizer": True},
        }
        found += [Chain(name, name, "dapt", {**one, "devices": 2, **options}) for name, options in layouts.items()]
        shared = {**one, "devices": 2, **layouts["context"]}
        found.append(Chain("packed context", "packed context", "sft", shared))
    resumed = [replace(chain, name=f"{chain.name} resumed", stopped=True) for chain in found]
    fast = [replace(found[0], name=name, group="fast", deterministic=False) for name in ("fast", "fast again")]
    return [*resumed, replace(found[0], name="one again"), *found, *(fast if accelerator == "gpu" else [])]


def gpu_model() -> str:
    """Return the name of this machine's first GPU."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def main() -> None:
    """Create model and data, run all chains, print a table as JSON; exit with status 1 if a group fails its check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for all files; a second call reuses its model and data")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="gpu")
    parser.add_argument("--group", nargs="+", help="run only these groups of chains")
    parser.add_argument("--at-once", type=int, default=4, help="chains that run at the same time, on the same GPUs")
    sizes = {"hidden": 1024, "layers": 16, "sequence": 1024, "groups": 2, "batch": 16, "steps": 24}
    for name, default in (sizes | {"shortest": 40, "longest": 40, "words": 0}).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    started = time.monotonic()
    options.folder.mkdir(parents=True, exist_ok=True)
    if not (options.folder / "encoded").exists():
        write_inputs(options)
    print(f"inputs after {time.monotonic() - started:.0f} s", flush=True)
    with ThreadPoolExecutor(options.at_once) as pool:
        chosen = chains(options.gpus, options.accelerator)
        if options.group:
            chosen = [chain for chain in chosen if chain.group in options.group]
        results = list(pool.map(lambda chain: run(chain, options), chosen))
    same = {
        group: len({result["digest"] for result in results if result["group"] == group}) == 1
        for group in {result["group"] for result in results}
    }
    distances = differences(results)
    summary = {
        "same bytes": same,
        f"largest difference of the first {FIRST_STEPS} losses from one rank": distances,
        "seconds": round(time.monotonic() - started),
        "chains": [{name: value for name, value in result.items() if name != "losses"} for result in results],
    }
    print(json.dumps(summary, indent=1))
    far = any(difference > MAX_DIFFERENCE for group, difference in distances.items() if group != "fast")
    if far or any(equal == (group == "fast") for group, equal in same.items()):
        raise SystemExit(1)


def differences(results: list[dict[str, Any]]) -> dict[str, float]:
    """Return by group how far the losses of its first steps are from those of one rank with the same program."""
    losses = {result["group"]: result["losses"] for result in results}
    found = {}
    for group, values in losses.items():
        expected = losses.get("packed" if group.startswith("packed") else "one")
        if expected is not None:
            found[group] = max(abs(a - b) for a, b in list(zip(values, expected, strict=True))[:FIRST_STEPS])
    return found


def write_inputs(options: argparse.Namespace) -> None:
    """Write a random model as a NeMo checkpoint, text, and encoded instruction rows."""
    draw = random.Random(1)
    words = [*WORDS, *(f"filler{number}" for number in range(options.words))]
    texts = [" ".join(draw.choices(words, k=400)) for _ in range(400)]
    for name in ("domain", "general"):
        lines = (json.dumps({"text": text}) + "\n" for text in texts)
        (options.folder / f"{name}.jsonl").write_text("".join(lines))
    lengths = [draw.randint(options.shortest, options.longest) for _ in range(400)]
    rows = [{"input": " ".join(draw.choices(words, k=k)), "output": draw.choice(words)} for k in lengths]
    (options.folder / "rows.json").write_text(json.dumps(rows))
    program = "from benchmarks.gpu_training import make_base; make_base()"
    sizes = (options.hidden, options.layers, options.sequence, options.groups)
    arguments = [str(options.folder), *map(str, sizes)]
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(options.folder))
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-6000:])


def make_base() -> None:
    """Create the model and encode the rows on the CPU; runs in a separate process."""
    folder, (hidden, layers, sequence, groups) = Path(sys.argv[1]), map(int, sys.argv[2:])
    from tapeout.nemo.process import prepare

    prepare(threads=4)
    from tapeout.config.bases.tiny import Base
    from tapeout.data.encode.prompt import encode_example
    from tapeout.encoder.load import load_encoder
    from tapeout.models.family import load_family
    from tapeout.models.huggingface import new_model, save_model
    from tapeout.nemo.convert import import_checkpoint

    architecture = {
        "hidden_size": hidden,
        "num_layers": layers,
        "num_attention_heads": max(2, hidden // 64),
        "num_query_groups": groups,
        "ffn_hidden_size": hidden * 11 // 4,
        "seq_length": sequence,
    }
    job = Base.model_validate({"architecture": architecture})
    (folder / "tokenizer.model").write_bytes(tokenizer())
    model = new_model(job, folder / "tokenizer.model")
    save_model(model, load_family(job.family), folder / "tokenizer.model", folder / "source")
    import_checkpoint(folder / "source", folder / "base", folder)
    encoder = load_encoder(folder / "tokenizer.model")
    rows = json.loads((folder / "rows.json").read_text())
    encoded = [encode_example(encoder, TEMPLATE, row["input"], row["output"]) for row in rows]
    (folder / "encoded").mkdir()
    for split in ("train", "validation"):
        lines = (json.dumps({"ids": ids, "mask": mask}) + "\n" for ids, mask in encoded)
        (folder / "encoded" / f"{split}.jsonl").write_text("".join(lines))


def tokenizer() -> bytes:
    """Return a SentencePiece model with the words; its other pieces only fill the vocabulary."""
    import io

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS * 10),
        model_writer=written,
        vocab_size=350,
        model_type="bpe",
        byte_fallback=True,
        pad_id=-1,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(written.getvalue())
    for number in range(PIECES - len(model.pieces)):
        model.pieces.add(piece=f"▁filler{number}", score=-1e6 - number, type=4)  # found as they are in text
    return bytes(model.SerializeToString())


def run(chain: Chain, options: argparse.Namespace) -> dict[str, Any]:
    """Run one training run, and return its measurements."""
    folder = options.folder / chain.name.replace(" ", "-")
    (folder / "checkpoints").mkdir(parents=True)
    job = {
        "max_steps": options.steps,
        "warmup_steps": 2,
        "seq_length": options.sequence,
        "global_batch_size": options.batch,
        "micro_batch_size": options.batch // 4,
        "threads": 2,
        "layout": chain.layout,
        "precision": "32" if options.accelerator == "cpu" else "bf16-mixed",
        **({"val_check_interval": options.steps} if chain.program == "sft" else {}),
        **({} if chain.deterministic else {"deterministic": False}),
    }
    (folder / "params.json").write_text(json.dumps(job))
    started = time.monotonic()
    lines = attempt(chain, options.folder, folder, stop=options.steps // 2 if chain.stopped else None)
    if chain.stopped:
        lines += attempt(chain, options.folder, folder, stop=None)
    seconds = time.monotonic() - started
    messages = [line for line in lines if "checkpoint saved" in line or "resuming" in line]
    figures = [dict(re.findall(r"(\w+) ([\d.]+)", line)) for line in lines if "tokens_per_second" in line]
    log = json.loads((folder / "model" / "train_log.json").read_text())
    result = {
        "chain": chain.name,
        "group": chain.group,
        "digest": digest(folder / "model"),
        "seconds": round(seconds),
        "tokens per second": figures[-1]["tokens_per_second"],
        "memory (GiB)": figures[-1].get("memory_gib"),
        "losses": [step["loss"] for step in log["steps"]],
        "first loss": log["steps"][0]["loss"],
        "last loss": log["steps"][-1]["loss"],
        "checkpoints": messages,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "losses"}), flush=True)
    shutil.rmtree(folder / "checkpoints")  # three times the size of the model
    return result


def attempt(chain: Chain, shared: Path, folder: Path, stop: int | None) -> list[str]:
    """Run the program once, stopped after a step if one is given, and return its output."""
    options = {"params": folder / "params.json", "output": folder / "model", "model": shared / "base"}
    if chain.program == "dapt":
        options |= {name: shared / f"{name}.jsonl" for name in ("domain", "general")}
    else:
        options["encoded"] = shared / "encoded"
    process = subprocess.Popen(
        [sys.executable, f"scripts/{chain.program}.py", *(str(w) for n, v in options.items() for w in (f"--{n}", v))],
        env={
            **environment(folder),
            "TAPEOUT_STATE": str(folder / "checkpoints"),
            "TAPEOUT_STOP": str(folder / "stop"),
            "TAPEOUT_PLUGINS": f"tapeout.train.methods.{chain.program}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout or ():
        lines.append(line.rstrip())
        if stop is not None and line.startswith(f"{stop}/"):
            (folder / "stop").touch()
    status = process.wait()
    (folder / "stop").unlink(missing_ok=True)
    if status != (0 if stop is None else 75):
        raise SystemExit(f"{chain.name} ended with {status}:\n" + "\n".join(lines[-40:]))
    return lines


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables of a program."""
    (folder / "tmp").mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder / "tmp")}


def digest(folder: Path) -> str:
    """Return the SHA-256 of the names and bytes of all files."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                total.update(path.relative_to(folder).as_posix().encode())
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    main()
