"""Measure the start-up of a training by its number of steps, and the reading of its samples.

Run ``python -m benchmarks.training_data NEW_FOLDER`` in the nemo environment, after ``make report``: the model is
``results/nemo/base.nemo``. Two trainings, of 1,000 steps and of as many as 24.1 billion tokens need, read the same
random token files with repetition. Each is asked to stop before its first step: its time is that of the start-up.
Then a process reads sequences at both ends of the longer one. The folder is removed at the end.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import table, write
from tapeout.config.dapt import Dapt
from tapeout.data.shards.token_files import IndexedWriter, id_type
from tapeout.train.launch import STOPPED
from tapeout.train.text_samples import shard_samples

PAGE = Path(__file__).parent / "training_data.md"
VOCABULARY = 32_768
TOKENS = 24_100_000_000
"""Tokens of ChipNeMo's DAPT (arXiv 2311.00176)."""
SEQ_LENGTH = 4_096
BATCH = 1
STEPS = (1_000, TOKENS // (SEQ_LENGTH * BATCH))
SHARDS = 4
DOCUMENT = 1_000
"""Tokens of each document."""
REPEATS = 3
READ = 20_000
"""Sequences that are read for the last table."""


def write_shards(folder: Path, gigabytes: float) -> dict[str, Any]:
    """Write random token files of two components, and their blend; return the inputs of the training."""
    random = np.random.default_rng(0)
    documents = int(gigabytes * 1e9) // (SHARDS * 2 * DOCUMENT)
    shards = [folder / f"{number:04}" for number in range(SHARDS)]
    for shard in shards:
        shard.mkdir(parents=True)
        for component, part in (("code", 0.7), ("text", 0.3)):
            with IndexedWriter(shard / component, id_type(VOCABULARY)) as writer:
                for _ in range(int(documents * part) // 1_000):
                    ids = random.integers(3, VOCABULARY, DOCUMENT * 1_000, dtype=np.uint16)
                    writer.write(ids.tobytes(), [DOCUMENT] * 1_000)
    blend = folder / "blend.json"
    blend.write_text(json.dumps({"components": {"code": {"fraction": 0.6}, "text": {"fraction": 0.4}}}))
    return {"blend": blend, "shards": shards}


def job_of(steps: int) -> Dapt:
    """Return the parameters of a training."""
    return Dapt(
        reads="pretraining", max_steps=steps, seq_length=SEQ_LENGTH, global_batch_size=BATCH, micro_batch_size=BATCH
    )


def start_up(folder: Path, steps: int, inputs: dict[str, Any], model: Path) -> tuple[float, float, float]:
    """Start a training that is asked to stop before its first step.

    Returns:
        seconds, seconds of processor time, which other programs on the machine affect less, and peak memory in MB.
    """
    folder.mkdir()
    params, stop = folder / "params.json", folder / "stop"
    params.write_text(job_of(steps).model_dump_json())
    stop.touch()
    options = ["--model", model, "--params", params, "--output", folder / "model", "--blend", inputs["blend"]]
    options += [word for shard in inputs["shards"] for word in ("--shards", shard)]
    (folder / "state").mkdir()
    variables = {"TAPEOUT_STOP": str(stop), "TAPEOUT_STATE": str(folder / "state"), "TMPDIR": str(folder)}
    started = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "scripts/dapt.py", *map(str, options)],
            env={**os.environ, "PYTHONPATH": str(Path.cwd()), **variables},
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != STOPPED:
        raise SystemExit((folder / "log").read_text()[-4000:])
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3


def read_spread(inputs: dict[str, Any]) -> dict[str, float]:
    """Read sequences at both ends of the longer training, in their order; return what it took."""
    samples = shard_samples(inputs["blend"], inputs["shards"], job_of(STEPS[1]))
    samples[0]
    started = time.monotonic()
    last = len(samples) - READ
    for index in range(READ // 2):
        samples[index]
    in_order = (time.monotonic() - started) / (READ // 2)
    started = time.monotonic()
    for index in range(last, last + READ // 2):
        samples[index]
    at_the_end = (time.monotonic() - started) / (READ // 2)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "microseconds_at_the_beginning": round(in_order * 1e6, 1),
        "microseconds_at_the_end": round(at_the_end * 1e6, 1),
        "anonymous_memory_mb": round(int(status["RssAnon"].split()[0]) / 1e3, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the token files")
    parser.add_argument("--model", type=Path, default=Path("results/nemo/base.nemo"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    try:
        inputs = write_shards(options.folder / "tokens", options.gigabytes)
        runs: dict[int, list[tuple[float, float, float]]] = {steps: [] for steps in STEPS}
        for repeat in range(REPEATS):
            for steps in STEPS:
                runs[steps].append(start_up(options.folder / f"{steps}-{repeat}", steps, inputs, options.model))
        reading = read_spread(inputs)
    finally:
        shutil.rmtree(options.folder)
    best = {steps: [min(values) for values in zip(*found, strict=True)] for steps, found in runs.items()}
    rows = [
        [
            f"{steps:,}",
            f"{steps * BATCH * SEQ_LENGTH / 1e9:,.3f}",
            f"{seconds:.1f}",
            f"{processor:.1f}",
            f"{memory:,.0f}",
        ]
        for steps, (seconds, processor, memory) in best.items()
    ]
    ratios = [long / short for short, long in zip(*(best[steps] for steps in STEPS), strict=True)]
    rows.append(["ratio", "", *(f"{ratio:.3f}" for ratio in ratios)])
    columns = ["steps", "billion tokens", "start-up (s)", "processor time (s)", "peak memory (MB)"]
    paragraphs = [
        "# Start-up of a training by its number of steps",
        f"`python -m benchmarks.training_data NEW_FOLDER`: the smallest of {REPEATS} runs each, with "
        f"{options.gigabytes:g} GB of token files, sequences of {SEQ_LENGTH:,} tokens and the default base model.",
        table(columns, rows),
        f"Reading {READ // 2:,} sequences in their order, in one process: "
        f"{reading['microseconds_at_the_beginning']} microseconds each at the beginning of the longer training, "
        f"{reading['microseconds_at_the_end']} at its end. The process then has {reading['anonymous_memory_mb']} MB of "
        "its own; the pages of the token files are the system's cache.",
    ]
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
