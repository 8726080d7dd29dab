"""Speed of tokenization and of instruction rows: Tapeout and what the original playbooks use.

Run ``python -m benchmarks.data_speed`` in the nemo environment after building the default config (``results/corpus``,
``results/tokenizer``), or with ``--results`` of another clone. It takes about three minutes.
Every contender gets the same file, the same SentencePiece model and the same number of processes, and runs in a
separate process, Tapeout in the environments of its steps. Imports before the start do not count, those of workers do.
The contenders alternate, and the best round counts. Processor seconds are those of all processes of a contender: on a
busy machine they are more reliable than the clock.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import sentencepiece
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder
from nemo.collections.common.tokenizers.sentencepiece_tokenizer import SentencePieceTokenizer

from benchmarks.made_up import write_rows
from benchmarks.stopwatch import stopwatch
from benchmarks.tables import table, write
from tapeout.graph.identity.environment import read_environment

PAGE = Path(__file__).parent / "data_speed.md"
ROUNDS = 2
CHUNK = 32
"""Rows that Megatron's tool gives to a process at once."""

Times = tuple[float, float]
"""Elapsed seconds and processor seconds."""
Contender = Callable[[argparse.Namespace, Path], Times | None]
"""Function that does the work; returns the times, or None if the duration of the call counts."""


class Encoder:
    """Encoder of Megatron's tools/preprocess_data.py, with the tokenizer that the playbooks use."""

    tokenizer: SentencePieceTokenizer

    def __init__(self, model: str) -> None:
        self.model = model

    def start(self) -> None:
        """Load the tokenizer; called once in each process."""
        Encoder.tokenizer = SentencePieceTokenizer(self.model)

    def encode(self, line: str) -> tuple[list[int], list[int]]:
        """Return the ids of a document with its end token, and the lengths of its sentences (there is one)."""
        ids = Encoder.tokenizer.text_to_ids(json.loads(line)["text"])
        if ids:
            ids.append(Encoder.tokenizer.eos_id)
        return ids, [len(ids)]


def tokens_megatron(options: argparse.Namespace, folder: Path) -> None:
    """Run Megatron's preprocessing with --append-eod and --workers: its loop, and Megatron-core's own builder."""
    encoder = Encoder(str(options.model))
    tokenizer = SentencePieceTokenizer(str(options.model))
    builder = IndexedDatasetBuilder(str(folder / "made.bin"), dtype=DType.optimal_dtype(tokenizer.vocab_size))
    with (
        open(options.text, encoding="utf-8") as lines,
        multiprocessing.get_context("fork").Pool(options.workers, initializer=encoder.start) as pool,
    ):
        for ids, lengths in pool.imap(encoder.encode, lines, CHUNK):
            builder.add_document(ids, lengths)
    builder.finalize(str(folder / "made.idx"))


def tokens_datasets(options: argparse.Namespace, folder: Path) -> None:
    """Load the file and map the same tokenizer over batches; the output is Arrow files."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(options.model))

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return {"input_ids": [[*ids, processor.eos_id()] for ids in processor.encode(batch["text"])]}

    rows = datasets.load_dataset("json", data_files=str(options.text), split="train", cache_dir=str(folder))
    rows.map(encode, batched=True, num_proc=options.workers, remove_columns=rows.column_names)


TOKENIZED = """
import sys
from pathlib import Path
from benchmarks.made_up import write_rows
from benchmarks.stopwatch import stopwatch
from tapeout.data.shards.tokens import write_tokens
text, model, made = map(Path, sys.argv[1:4])
with stopwatch() as times:
    write_tokens(text, None, model, made, True, int(sys.argv[4]))
print(*times)
"""


def tokens_tapeout(options: argparse.Namespace, folder: Path) -> Times:
    """Run the step ``pretraining_tokens``."""
    return run_timed("corpus", TOKENIZED, options.text, options.model, folder / "made", options.workers)


def rows_preprocess(options: argparse.Namespace, folder: Path) -> None:
    """Join two fields in a random order and escape to ASCII, like the playbooks' preprocess.py; one process."""
    with open(options.rows) as source, open(folder / "made.jsonl", "w") as made:
        for line in source:
            row = json.loads(line)
            context, instruction = row["context"].strip(), row["instruction"]
            if context:
                instruction = instruction.strip()
                first = np.random.randint(0, 2) == 0
                text = f"{context}\n\n{instruction}" if first else f"{instruction}\n\n{context}"
            else:
                text = instruction
            made.write(json.dumps({"input": text, "output": row["response"], "category": row["category"]}) + "\n")


def rows_datasets(options: argparse.Namespace, folder: Path) -> None:
    """Do the same with ``datasets.map`` in ``workers`` processes, and write JSON Lines."""

    def join(row: dict[str, str]) -> dict[str, str]:
        context, instruction = row["context"].strip(), row["instruction"].strip()
        first = np.random.randint(0, 2) == 0
        text = f"{context}\n\n{instruction}" if first else f"{instruction}\n\n{context}"
        return {"input": text if context else instruction, "output": row["response"], "category": row["category"]}

    rows = datasets.load_dataset("json", data_files=str(options.rows), split="train", cache_dir=str(folder))
    made = rows.map(join, num_proc=options.workers, remove_columns=rows.column_names)
    made.to_json(str(folder / "made.jsonl"))


IMPORT = """
import sys
from pathlib import Path
from benchmarks.made_up import write_rows
from benchmarks.stopwatch import stopwatch
import orjson
from tapeout.config.instructions import InstructionSetJob
from tapeout.data.instructions.instruction_set import rows_of, write_set
from tapeout.data.instructions.report import ImportReport
folder, made, workers, near = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
split = {"near_duplicates": near or 1}
options = {"format": "prompt_response", "sources": ["rows"], "split": split}
job = InstructionSetJob.model_validate({"name": "rows", "licences": {"rows": "none"}, "options": options})
with stopwatch() as times:
    if near:
        write_set({"rows": folder}, job, made, workers)
    else:
        with made.open("wb") as stream:
            for row in rows_of({"rows": folder}, job, ImportReport("stop")):
                stream.write(orjson.dumps(row.as_json("none"), option=orjson.OPT_APPEND_NEWLINE))
print(*times)
"""


def rows_tapeout(options: argparse.Namespace, folder: Path) -> Times:
    """Do the part of the step ``instructions`` that corresponds to preprocess.py: rows before the split."""
    return run_timed("corpus", IMPORT, options.rows.parent, folder / "made.jsonl", options.workers, 0)


def rows_split(options: argparse.Namespace, folder: Path) -> Times:
    """Run the step ``instructions`` without a search for near duplicates."""
    return run_timed("corpus", IMPORT, options.rows.parent, folder / "made", options.workers, 1)


def rows_grouped(options: argparse.Namespace, folder: Path) -> Times:
    """Run the step ``instructions`` with its defaults."""
    return run_timed("corpus", IMPORT, options.rows.parent, folder / "made", options.workers, 0.8)


def run_timed(environment: str, program: str, *arguments: object) -> Times:
    """Run a program in an environment of the project; return the times that it prints."""
    command = [str(read_environment(environment).python), "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
    seconds, processor = map(float, done.stdout.split())
    return seconds, processor


TOKENS: dict[str, Contender] = {
    "Megatron-core's preprocessing": tokens_megatron,
    "datasets.map": tokens_datasets,
    "Tapeout": tokens_tapeout,
}
ROWS: dict[str, Contender] = {
    "preprocess.py": rows_preprocess,
    "datasets.map": rows_datasets,
    "Tapeout": rows_tapeout,
    "Tapeout, with split": rows_split,
    "Tapeout, with split and near duplicates": rows_grouped,
}
TEXT_SIZE = 24_000_000
ROW_COUNT = 150_000


def write_text(path: Path, results: Path) -> None:
    """Write the default config's two corpora, and Python sources up to ``TEXT_SIZE`` bytes; no document twice."""
    corpora = (results / "corpus" / name / "train.jsonl" for name in ("domain", "general"))
    rows = (json.loads(line)["text"] for file in corpora for line in file.open(encoding="utf-8"))
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = (file for file in sorted(library.rglob("*.py")) if not {"site-packages", "test"} & {*file.parts})
    texts = (text for file in sources if (text := file.read_text(encoding="utf-8", errors="ignore")))
    size = 0
    with path.open("w", encoding="utf-8") as made:
        for text in dict.fromkeys(chain(rows, texts)):
            if size >= TEXT_SIZE:
                break
            digest = hashlib.sha256(text.encode()).hexdigest()
            row = json.dumps({"component": "text", "digest": digest, "text": text}, ensure_ascii=False)
            size += made.write(f"{row}\n")


def timed(contender: Contender, options: argparse.Namespace, folder: Path, answer: Any) -> None:
    """Run a contender and send its times; called in a separate process."""
    datasets.disable_progress_bars()
    with stopwatch() as times:
        measured = contender(options, folder)
    answer.send(tuple(times) if measured is None else measured)


def measure(contenders: dict[str, Contender], options: argparse.Namespace, folder: Path) -> dict[str, Times]:
    """Return the times of each contender, the best of all rounds."""
    best: dict[str, Times] = {}
    for number in range(options.rounds):
        for name, contender in contenders.items():
            output = folder / f"{contender.__name__}-{number}"
            output.mkdir()
            receive, send = multiprocessing.get_context("spawn").Pipe(duplex=False)
            process = multiprocessing.get_context("spawn").Process(
                target=timed, args=(contender, options, output, send)
            )
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{name} failed")
            seconds, processor = receive.recv()
            earlier = best.get(name, (seconds, processor))
            best[name] = min(seconds, earlier[0]), min(processor, earlier[1])
    return best


def same_bytes(folder: Path) -> bool:
    """Return whether Megatron's files and ours are equal; ours are named after the component."""
    pairs = [(next((folder / "tokens_tapeout-0/made").glob(f"*{end}")), end) for end in (".bin", ".idx")]
    return all(digest(ours) == digest(folder / f"tokens_megatron-0/made{end}") for ours, end in pairs)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def compared(times: dict[str, Times], amount: float, digits: int) -> list[list[str]]:
    """Return rows of a table: seconds, amount per second, and the ratios to Tapeout's times."""
    ours = times["Tapeout"]
    return [
        [
            name,
            f"{seconds:.2f}",
            f"{amount / seconds:,.{digits}f}",
            f"{seconds / ours[0]:.1f}",
            f"{processor:.2f}",
            f"{processor / ours[1]:.1f}",
        ]
        for name, (seconds, processor) in times.items()
    ]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="of the default config")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--load", default="", help="sentence about other load of the machine, for the page")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options.model = options.results / "tokenizer" / "tokenizer.model"
        options.text, options.rows = folder / "text.jsonl", folder / "rows" / "rows.jsonl"
        options.rows.parent.mkdir()
        write_text(options.text, options.results)
        write_rows(options.rows, ROW_COUNT)
        tokens, rows = measure(TOKENS, options, folder), measure(ROWS, options, folder)
        equal = same_bytes(folder)
        size, row_size = options.text.stat().st_size / 1e6, options.rows.stat().st_size
        report = json.loads((folder / "tokens_tapeout-0/made/report.json").read_bytes())
    count = sum(component["tokens"] for component in report.values())
    against = ["× Tapeout's", "processor seconds", "× Tapeout's"]
    paragraphs = [
        "# Speed of the data steps",
        f"Written by `python -m benchmarks.data_speed`. {options.workers} processes per contender; the best of "
        f"{options.rounds} rounds in which the contenders alternate. {options.load}",
        f"## Tokens\n\n{size:.0f} MB of JSON Lines (the default config's two training corpora and Python sources, no "
        f"document twice; the graph's tokenizer), {count:,} tokens. Megatron-core's files and Tapeout's are "
        f"{'the same to the byte' if equal else 'NOT THE SAME'}; `datasets.map` writes Arrow files.",
        table(["", "seconds", "million tokens per second", *against], compared(tokens, count / 1e6, 2)),
        f"## Instruction rows\n\n{ROW_COUNT:,} synthetic rows like Dolly's (`benchmarks/made_up.py`: "
        f"{row_size / ROW_COUNT:,.0f} bytes each, words by Zipf's law; one row in 12 is not ASCII, one in 20 has "
        "white space that is removed). `preprocess.py` is one process. The third line is the part of the step "
        "`instructions` that does the same work, and also checks, counts and digests each row; the fourth adds "
        "duplicates and the split, the fifth near duplicates: the whole step with its defaults.",
        table(["", "seconds", "rows per second", *against], compared(rows, ROW_COUNT, 0)),
    ]
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
