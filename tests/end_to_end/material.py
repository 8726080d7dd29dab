"""Small sources for the whole graph: three made-up cores, some prose, a real SentencePiece model.

``python -m tests.end_to_end.material FOLDER`` (in the data environment) writes them and a config that uses them; the
same bytes each time.
"""

import json
import random
import sys
import zipfile
from pathlib import Path

import yaml

from tests.small_tokenizer import train

CORES = {"alpha": 40, "beta": 40, "gamma": 30}
NOUNS = ["request", "query", "model", "setting", "template", "session", "view", "field", "index", "form"]
VERBS = ["returns", "stores", "reads", "checks", "names", "holds", "changes", "follows"]
SIGNALS = ["data", "valid", "ready", "addr", "count", "state", "mask", "grant", "fetch", "stall"]


def module(draw: random.Random, core: str, number: int) -> str:
    """A module with ports, a parameter, declarations and an instance of the module before it."""
    width = draw.choice([2, 4, 8, 16, 32])
    names = draw.sample(SIGNALS, 6)
    ports = [
        f"  {draw.choice(['input', 'output'])} logic [{draw.choice([1, 3, 7, 15, 31])}:0] {name}_{draw.choice('io')}"
        for name in names[:4]
    ]
    lines = [f"module {core}_unit_{number} #(parameter int WIDTH = {width}) (", "  input logic clk_i,"]
    lines += [",\n".join(ports), ");"]
    lines += [f"  logic [{draw.randrange(1, 32)}:0] {name}_{part};" for name in names[4:] for part in "dq"]
    if number:
        lines += [f"  {core}_unit_{number - 1} u_{names[0]} (", "    .clk_i (clk_i)", "  );"]
    lines += [f"  always_ff @(posedge clk_i) {name}_q <= {name}_d;" for name in names[4:]]
    return "\n".join([*lines, "endmodule", ""])


def prose(draw: random.Random) -> str:
    """A page of short sentences."""
    return "\n".join(
        f"The {draw.choice(NOUNS)} {draw.choice(VERBS)} a {draw.choice(NOUNS)} when its {draw.choice(NOUNS)} is set."
        for _ in range(draw.randrange(10, 25))
    )


def row(number: int) -> str:
    """A question and its answer, as a line."""
    fields = {"instruction": f"What is {number} + 1?", "context": "", "response": str(number + 1), "category": "own"}
    return json.dumps(fields) + "\n"


def archive(path: Path, files: dict[str, str]) -> None:
    """Write a zip archive without times."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in sorted(files.items()):
            opened.writestr(zipfile.ZipInfo(name), text)


def tokenizer(text: str) -> bytes:
    """A SentencePiece model with the settings of the Llama family."""
    return train(text.splitlines(), allow_whitespace_only_pieces=True, split_digits=True)


def config(folder: Path) -> dict:
    """A configuration in which every step takes seconds; two such steps share two cores."""
    short = {
        "threads": 1,
        "max_steps": 12,
        "warmup_steps": 2,
        "seq_length": 256,
        "global_batch_size": 4,
        "micro_batch_size": 4,
    }
    return {
        "sources": str(folder / "sources.yaml"),
        "corpus": {
            "domain": {"train": ["alpha", "beta"], "test": ["gamma"]},
            "general": {"names": ["prose"], "include": ["*.txt"], "test_fraction": 0.2},
        },
        "instructions": {
            "sets": {
                "rtl": {"split": {"validation": 0.2}},
                "questions": {"split": {"counts": "exact", "validation": 0.2}},
            }
        },
        "data_report": {"gates": {"contaminated": 0.1}},  # the modules are made up from few words, and so alike
        "tokenizer": {
            "source": "tiny-tokenizer",
            "model_file": "tiny.model",
            "new_pieces": 48,
            "multiple": 8,
            "min_count": 3,
            "max_general_rate": 0.01,
            "max_general_change": 0.2,
            "min_cohesion": 0,
        },
        "base": {
            "architecture": {"hidden_size": 32, "num_layers": 2, "ffn_hidden_size": 64},
            "threads": 1,
            "max_steps": 20,
            "warmup_steps": 4,
        },
        "dapt": short,
        "sft": {**short, "val_check_interval": 6},
        "evaluation": {
            "threads": 1,
            "tasks": {
                "bits_per_byte": {"max_bytes": 6000},
                "instruction_answers": {"max_rows": 16, "max_new_tokens": 12},
            },
        },
        "report": {"resamples": 200, "permutations": 1_000},
    }


def write(folder: Path) -> None:
    """Write archives, sources file and config below ``folder``, named relative to the repository."""
    folder.mkdir(parents=True)
    draw = random.Random(1)
    for core, count in CORES.items():
        files = {f"rtl/{core}_{number}.sv": module(draw, core, number) for number in range(count)}
        archive(folder / f"{core}.zip", files)
    pages = {f"page_{number}.txt": prose(draw) for number in range(60)}
    archive(folder / "prose.zip", pages)
    with zipfile.ZipFile(folder / "tokenizer.whl", "w") as opened:
        opened.writestr(zipfile.ZipInfo("tiny.model"), tokenizer("\n".join(pages.values())))
    (folder / "questions.jsonl").write_text("".join(row(number) for number in range(8)))
    names = {**{core: f"{core}.zip" for core in CORES}, "prose": "prose.zip", "tiny-tokenizer": "tokenizer.whl"}
    names["questions"] = "questions.jsonl"
    records = {
        name: {"kind": "file", "path": str(folder / file), "licence": "Apache-2.0"} for name, file in names.items()
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(records))
    (folder / "config.yaml").write_text(yaml.safe_dump(config(folder)))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
