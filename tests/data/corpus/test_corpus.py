"""Corpora: held-out cores, no duplicates, no leaks, a stable order, and a report of everything left out."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from pydantic import ValidationError

from tapeout.config.corpus import DomainCorpus, DomainJob, GeneralJob

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
LICENCES = {"alpha": "ISC", "beta": "MIT", "gamma": "ISC"}


def module(name: str, extra: str = "") -> str:
    return f"module {name} (input logic clk_i, output logic [7:0] {name}_o);{extra}\nendmodule\n"


@pytest.fixture
def cores(tmp_path: Path) -> Path:
    texts = {
        "alpha": {"one.v": module("one"), "copy.v": module("one"), "two.v": module("two"), "t.v": module("tested")},
        "beta": {"near.v": module("tested", " // edited"), "three.sv": module("three"), "again.v": module("two")},
        "gamma": {"tested.v": module("tested"), "readme.md": "A held-out core. " * 10, "notes.log": "no" * 50},
    }
    for core, files in texts.items():
        (tmp_path / core).mkdir()
        for name, text in files.items():
            (tmp_path / core / name).write_text(text)
    return tmp_path


def build(
    folder: Path, name: str, params: str, sources: list[str], output: str = "out"
) -> subprocess.CompletedProcess[str]:
    (folder / "params.json").write_text(params)
    given = [part for source in sources for part in ("--sources", str(folder / source))]
    command = [sys.executable, f"scripts/{name}.py", *given]
    command += ["--params", str(folder / "params.json"), "--output", str(folder / output)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def domain(**changes: object) -> str:
    values = {"train": ("alpha", "beta"), "test": ("gamma",), "licences": LICENCES, **changes}
    return DomainJob.model_validate(values).model_dump_json()


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_domain_corpus(cores: Path) -> None:
    done = build(cores, "corpus_domain", domain(), ["alpha", "beta", "gamma"])
    assert done.returncode == 0, done.stderr
    train, test = rows(cores / "out" / "train.jsonl"), rows(cores / "out" / "test.jsonl")
    assert [(row["source"], row["path"]) for row in train] == [
        ("alpha", "copy.v"),
        ("alpha", "two.v"),
        ("beta", "three.sv"),
    ]
    assert [(row["source"], row["path"]) for row in test] == [("gamma", "readme.md"), ("gamma", "tested.v")]
    assert set(train[0]) == {"text", "source", "path", "licence", "digest"}
    assert {row["licence"] for row in train} == {"ISC", "MIT"}
    report = json.loads((cores / "out" / "report.json").read_text())
    assert report["train"]["documents"] == 3
    assert report["sources"]["alpha"]["dropped"] == {"also in test": 1, "duplicate": 1}
    assert report["sources"]["beta"]["dropped"] == {
        "also in test, but for comments or white space": 1,
        "duplicate": 1,
    }
    assert report["sources"]["gamma"]["dropped"] == {"other kind": 1}


def test_corpora_are_reproducible(cores: Path) -> None:
    for output in ("first", "second"):
        build(cores, "corpus_domain", domain(), ["alpha", "beta", "gamma"], output)
    for name in ("train.jsonl", "test.jsonl", "report.json"):
        assert (cores / "first" / name).read_bytes() == (cores / "second" / name).read_bytes()


@pytest.mark.parametrize(("options", "split"), [({"include": ["*.vhd"]}, "training"), ({"include": ["*.sv"]}, "test")])
def test_an_empty_split_is_an_error_and_leaves_no_output(
    cores: Path, options: dict[str, list[str]], split: str
) -> None:
    done = build(cores, "corpus_domain", domain(**options), ["alpha", "beta", "gamma"])
    assert done.returncode == 1
    assert f"NotEnoughData: The {split} split" in done.stderr
    assert "other kind" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (cores / "out").exists()


def test_a_malformed_row_is_an_error(cores: Path) -> None:
    (cores / "beta" / "rows.jsonl").write_text('{"text": "good enough to be a document"}\n{"text": oops}\n')
    done = build(cores, "corpus_domain", domain(), ["alpha", "beta", "gamma"])
    assert done.returncode == 1
    assert "BadRow" in done.stderr
    assert "rows.jsonl, line 2" in done.stderr


def general(folder: Path, texts: list[str], output: str) -> tuple[set[str], set[str]]:
    (folder / "prose").mkdir(exist_ok=True)
    (folder / "prose" / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    job = GeneralJob(names=("prose",), test_fraction=0.3, licences={"prose": "ISC"})
    done = build(folder, "corpus_general", job.model_dump_json(), ["prose"], output)
    assert done.returncode == 0, done.stderr
    splits = (rows(folder / output / f"{split}.jsonl") for split in ("train", "test"))
    train, test = ({row["text"] for row in split} for split in splits)
    return train, test


def test_adding_or_reordering_documents_moves_none_to_another_split(tmp_path: Path) -> None:
    texts = [f"Document {number} says something of its own. " * 5 for number in range(60)]
    train, test = general(tmp_path, texts, "first")
    assert train | test == set(texts)
    assert not train & test
    assert 5 <= len(test) <= 32
    more_train, more_test = general(tmp_path, ["Quite a new document. " * 5, *reversed(texts)], "second")
    assert train <= more_train
    assert test <= more_test


def test_another_unicode_form_of_a_test_document_is_not_trained_on(tmp_path: Path) -> None:
    texts = [f"Dokument {number} über die Größe eines Zählers. " * 5 for number in range(40)]
    train, test = general(tmp_path, [*texts, *(unicodedata.normalize("NFD", text) for text in texts)], "out")
    assert test and not {unicodedata.normalize("NFC", text) for text in train} & {
        unicodedata.normalize("NFC", text) for text in test
    }


def test_a_core_cannot_be_trained_on_and_held_out() -> None:
    with pytest.raises(ValidationError, match="named twice"):
        DomainCorpus(train=("ibex", "serv"), test=("serv",))
