"""Does a training on GPUs make the same bytes again, undisturbed, and stopped and resumed?

``python -m benchmarks.gpu_training PLACE --gpus N``, in an environment with NeMo and a CUDA build of PyTorch. It trains
a random Llama with the project's own programs, scripts/dapt.py and scripts/sft.py. Each chain below is one training, or
one that is stopped half-way and resumed; chains of one group must agree in every byte of the checkpoint folder. The
model must not be tiny: a tiny one is repeatable even where nothing is done for it.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

PIECES = 32_000
WORDS = ("module", "input", "output", "wire", "always", "assign", "begin", "end", "posedge", "clk", "data", "valid")


@dataclass(frozen=True)
class Chain:
    """One training.

    Attributes:
        name: of its output.
        group: what it must agree with.
        program: dapt or sft.
        layout: of its processes.
        stopped: whether it is stopped half-way and resumed.
    """

    name: str
    group: str
    program: str
    layout: dict[str, Any]
    stopped: bool = False


def chains(gpus: int, accelerator: str) -> list[Chain]:
    """All trainings that so many GPUs allow, the longest first."""
    one: dict[str, Any] = {"accelerator": accelerator}
    found = [Chain("one", "one", "dapt", one), Chain("packed", "packed", "sft", one)]
    if gpus > 1:
        found += [
            Chain("data", "data", "dapt", {**one, "processes": 2}),
            Chain("tensor", "tensor", "dapt", {**one, "processes": 2, "tensor": 2}),
        ]
    resumed = [replace(chain, name=f"{chain.name} resumed", stopped=True) for chain in found]
    return [*resumed, replace(found[0], name="one again"), *found]


def main() -> None:
    """Make the model and the data, run all chains, print a table as JSON; exit 1 if a group differs in a byte."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path, help="new folder for everything that is made")
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="gpu")
    parser.add_argument("--group", nargs="+", help="these groups of chains only")
    parser.add_argument("--at-once", type=int, default=4, help="chains that run beside each other, on the same GPUs")
    for name, default in (("hidden", 1024), ("layers", 16), ("sequence", 1024), ("batch", 16), ("steps", 24)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    started = time.monotonic()
    options.place.mkdir(parents=True)
    material(options)
    print(f"material after {time.monotonic() - started:.0f} s", flush=True)
    with ThreadPoolExecutor(options.at_once) as pool:
        chosen = chains(options.gpus, options.accelerator)
        if options.group:
            chosen = [chain for chain in chosen if chain.group in options.group]
        results = list(pool.map(lambda chain: run(chain, options), chosen))
    same = {
        group: len({result["digest"] for result in results if result["group"] == group}) == 1
        for group in {result["group"] for result in results}
    }
    print(json.dumps({"same bytes": same, "seconds": round(time.monotonic() - started), "chains": results}, indent=1))
    if not all(same.values()):
        raise SystemExit(1)


def material(options: argparse.Namespace) -> None:
    """A random Llama as a NeMo checkpoint, text and instruction rows."""
    chance = random.Random(1)
    texts = [" ".join(chance.choices(WORDS, k=400)) for _ in range(400)]
    for name in ("domain", "general"):
        lines = (json.dumps({"text": text}) + "\n" for text in texts)
        (options.place / f"{name}.jsonl").write_text("".join(lines))
    rows = [{"input": " ".join(chance.choices(WORDS, k=40)), "output": chance.choice(WORDS)} for _ in range(400)]
    (options.place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    program = "from benchmarks.gpu_training import make_base; make_base()"
    arguments = [str(options.place), str(options.hidden), str(options.layers), str(options.sequence)]
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(options.place))
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-6000:])


def make_base() -> None:
    """In a process of its own, on the CPU: the Llama, imported and packed."""
    place, (hidden, layers, sequence) = Path(sys.argv[1]), map(int, sys.argv[2:])
    from tapeout.nemo.process import prepare

    prepare(threads=4)
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

    from tapeout.nemo.archive import pack
    from tapeout.nemo.convert import import_checkpoint

    source = place / "source"
    source.mkdir()
    (source / "tokenizer.model").write_bytes(tokenizer())
    LlamaTokenizer(str(source / "tokenizer.model"), legacy=False).save_pretrained(source)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=PIECES,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=max(2, hidden // 64),
        num_key_value_heads=2,
        max_position_embeddings=sequence,
        tie_word_embeddings=False,
        torch_dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(source)
    import_checkpoint(source, place / "base", place)
    pack(place / "base", place / "base.nemo")


def tokenizer() -> bytes:
    """A SentencePiece model that knows the words; its other pieces only fill the vocabulary."""
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
        model.pieces.add(piece=f"filler{number}", score=-1e6 - number, type=1)
    return bytes(model.SerializeToString())


def run(chain: Chain, options: argparse.Namespace) -> dict[str, Any]:
    """Carry out one training; returns what it came to."""
    place = options.place / chain.name.replace(" ", "-")
    (place / "states").mkdir(parents=True)
    job = {
        "steps": options.steps,
        "warm_up": 2,
        "seq_length": options.sequence,
        "global_batch": options.batch,
        "micro_batch": options.batch // 4,
        "threads": 2,
        "layout": chain.layout,
        "precision": "32" if options.accelerator == "cpu" else "bf16-mixed",
        **({"validate_every": options.steps} if chain.program == "sft" else {}),
    }
    (place / "params.json").write_text(json.dumps(job))
    started = time.monotonic()
    words = attempt(chain, options.place, place, stop=options.steps // 2 if chain.stopped else None)
    if chain.stopped:
        words += attempt(chain, options.place, place, stop=None)
    seconds = time.monotonic() - started
    told = [line for line in words if "state saved" in line or "going on" in line]
    speeds = [line.split()[-1] for line in words if "tokens_per_second" in line]
    log = json.loads((place / "model" / "train_log.json").read_text())
    result = {
        "chain": chain.name,
        "group": chain.group,
        "digest": digest(place / "model"),
        "seconds": round(seconds),
        "tokens a second": speeds[-1],
        "first loss": log["steps"][0]["loss"],
        "last loss": log["steps"][-1]["loss"],
        "state": told,
    }
    print(json.dumps(result), flush=True)
    return result


def attempt(chain: Chain, shared: Path, place: Path, stop: int | None) -> list[str]:
    """Run the program once, stopped after a step if one is given; returns its words."""
    options = {"params": place / "params.json", "output": place / "model"}
    if chain.program == "dapt":
        options |= {name: shared / f"{name}.jsonl" for name in ("domain", "general")}
        options["base"] = shared / "base.nemo"
    else:
        options |= {"model": shared / "base", "train": shared / "rows.jsonl", "validation": shared / "rows.jsonl"}
    process = subprocess.Popen(
        [sys.executable, f"scripts/{chain.program}.py", *(str(w) for n, v in options.items() for w in (f"--{n}", v))],
        env={**environment(place), "TAPEOUT_STATE": str(place / "states"), "TAPEOUT_STOP": str(place / "stop")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    words = []
    for line in process.stdout or ():
        words.append(line.rstrip())
        if stop is not None and line.startswith(f"{stop}/"):
            (place / "stop").touch()
    status = process.wait()
    (place / "stop").unlink(missing_ok=True)
    if status != (0 if stop is None else 75):
        raise SystemExit(f"{chain.name} ended with {status}:\n" + "\n".join(words[-40:]))
    return words


def environment(place: Path) -> dict[str, str]:
    """The variables of a program."""
    (place / "tmp").mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": str(place / "tmp")}


def digest(folder: Path) -> str:
    """SHA-256 over names and bytes of all files."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                total.update(path.relative_to(folder).as_posix().encode())
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    main()
