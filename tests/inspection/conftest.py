"""Sets of rows on disk, as the upstream steps write them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.inspection import OverlapSettings
from tapeout.data.io.jsonl import write_jsonl
from tests.small_tokenizer import train

SETTINGS = OverlapSettings(ngram_words=4)
TEMPLATE = "{input}\n### Answer: {output}"

Write = Callable[..., Path]


def document(text: str, source: str = "core") -> dict[str, Any]:
    digest = sha256(text.encode()).hexdigest()
    return {"text": text, "source": source, "path": "a/b.md", "licence": "MIT", "digest": digest}


def question(asked: str, answer: str, group: str = "g", category: str = "c") -> dict[str, Any]:
    digest = sha256(f"{asked}|{answer}".encode()).hexdigest()
    row = {"input": asked, "output": answer, "group": group, "category": category}
    return {**row, "source": "core", "licence": "MIT", "digest": digest}


def write_set(parent: Path, name: str, **splits: Sequence[Mapping[str, Any]]) -> Path:
    """Write the splits of a set into a new folder."""
    folder = parent / name
    folder.mkdir(parents=True)
    for split, rows in splits.items():
        write_jsonl(folder / f"{split}.jsonl", rows)
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return partial(write_set, tmp_path)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small tokenizer."""
    lines = [
        f"How wide is signal_{number}? It has {number} bits.\n### Answer: wire [{number}:0] a;" for number in range(60)
    ]
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    path.write_bytes(train(lines, allow_whitespace_only_pieces=True, split_digits=True, hard_vocab_limit=False))
    return path
