"""Hash seed, locale, time zone, umask and order of the folder listing do not change a byte of the output."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.pretraining import DocumentsJob, NearDuplicates, NearJob, Quality, Scrub, ShardJob, TokensJob
from tests.data.instructions.material import job

pytestmark = pytest.mark.environment("corpus")

ROOT = Path(__file__).parents[3]
ENVIRONMENTS: list[dict[str, str]] = [
    {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TAPEOUT_THREADS": "1"},
    {"PYTHONHASHSEED": "77", "LC_ALL": "C", "TZ": "Asia/Tokyo", "TAPEOUT_THREADS": "2"},
]


def program(name: str, environment: dict[str, str], output: Path, params: str, **inputs: Path) -> Path:
    parameters = output.with_name(f"{output.name}.json")
    parameters.write_text(params)
    options = {**inputs, "params": parameters, "output": output}
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    done = subprocess.run(
        [sys.executable, f"scripts/{name}.py", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return output


def corpus(folder: Path, order: Callable[[list[int]], list[int]]) -> Path:
    """Create files in one order or another, as a folder may list them."""
    folder.mkdir(parents=True)
    for number in order(list(range(30))):
        text = " ".join(f"word{number * 37 % 101 + index * (number % 3 + 1)}é" for index in range(60))
        (folder / f"ä{number % 20} {number}.txt").write_text(text, encoding="utf-8")
    rows = [
        {"instruction": f"Ask é {n}", "context": "", "response": f"{n}", "category": f"c{n % 3}"} for n in range(90)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps({**row, "text": "x" * 80}) + "\n" for row in rows))
    return folder


def build_all(folder: Path, number: int, model: Path) -> dict[str, bytes]:
    environment = ENVIRONMENTS[number]
    source = corpus(folder / "source", [list, lambda items: items[::-1]][number])
    near = NearDuplicates()
    documents = DocumentsJob(source="s", component="c", licence="MIT", licences=(), shards=1)
    shard = ShardJob(quality=Quality(), scrub=Scrub(), near_duplicates=near.minhash)

    def run(name: str, output: str, params: Any, **inputs: Path) -> Path:
        return program(name, environment, folder / output, params.model_dump_json(), **inputs)

    first = run("pretraining_documents", "documents", documents, source=source)
    second = run("pretraining_shard", "shard", shard, parts=first / "0000.jsonl")
    third = run(
        "pretraining_near", "near", NearJob(**near.model_dump(), shards=("0000",)), signatures=second / "signatures"
    )
    tokens = {"documents": second / "documents.jsonl", "near": third / "0000.jsonl", "tokenizer": model}
    run("pretraining_tokens", "tokens", TokensJob(append_eod=True), **tokens)
    run("instructions", "instructions", job("prompt_response", files="*.jsonl"), sources=source)
    outputs = ("documents", "shard", "near", "tokens", "instructions")
    files = [file for name in outputs for file in sorted((folder / name).rglob("*")) if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_output_does_not_depend_on_the_environment(model: Path, tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        one = build_all(tmp_path / "one", 0, model)
        os.umask(0o077)
        two = build_all(tmp_path / "two", 1, model)
    finally:
        os.umask(old)
    assert len(one) > 12 and one == two
