"""The playbooks' sources and fine-tunings under the real Snakemake, from a hub on this machine; and a local folder.

The hub has small files under the names of the real repositories. The files of config/examples are used except for
commits and hashes, which are those of the small files.
"""

import copy
import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.config.yaml_files import merge
from tapeout.graph.identity.environment import read_environment
from tests.end_to_end.conftest import ROOT, Clone
from tests.end_to_end.conftest import clone as copied
from tests.sources.hub_server import COMMIT, TOKEN, Hub, Repository, serve_hub, sha256

pytestmark = pytest.mark.end_to_end

PARQUET = """
import sys
import pyarrow, pyarrow.parquet
for shard, path in enumerate(sys.argv[1:]):
    texts = [f"Article {shard} {number} " + "says something of its own. " * (number + 3) for number in range(10)]
    table = pyarrow.table({"id": [str(number) for number in range(10)], "text": texts})
    pyarrow.parquet.write_table(table, path)
"""


@dataclass
class Place:
    """A clone that uses the example, its configuration before, and the hub it downloads from."""

    clone: Clone
    tiny: dict[str, Any]
    hub: Hub

    def report(self, artifact: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.clone.root / "results" / artifact / "report.json").read_bytes())
        return report


def mark(*artifacts: str) -> list[str]:
    return [f"results/.graph/{name}.sealed" for name in artifacts]


def dolly() -> bytes:
    rows = [
        {"instruction": f"What is {n} times {n}?", "context": "", "response": f"{n * n} [1]", "category": "open_qa"}
        for n in range(40)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def message(number: int, role: str, replies: list[dict[str, Any]]) -> dict[str, Any]:
    texts = {"message_id": str(number), "text": f"Said {number} by the {role}.", "role": role, "lang": "en"}
    return {**texts, "deleted": False, "synthetic": False, "replies": replies}


def trees() -> bytes:
    lines = []
    for number in range(100):
        answer = message(100 + number, "assistant", [])
        root = message(number, "prompter", [answer])
        tree = {
            "message_tree_id": str(number),
            "tree_state": "aborted_low_grade" if number == 3 else "ready_for_export",
        }
        lines.append(json.dumps({**tree, "prompt": root}) + "\n")
    return gzip.compress("".join(lines).encode(), mtime=0)


def squad(impossible: bool) -> bytes:
    articles = []
    for number in range(20):
        context = f"Bus {number} is {8 * number + 8} bits wide."
        answer = {"text": str(8 * number + 8), "answer_start": context.index(" is ") + 4}
        question = {"id": str(number), "question": f"How wide is bus {number}?", "answers": [answer]}
        if impossible and number == 7:
            question |= {"answers": [], "is_impossible": True}
        articles.append({"title": f"Bus {number}", "paragraphs": [{"context": context, "qas": [question]}]})
    return json.dumps({"version": "2.0" if impossible else "1.1", "data": articles}).encode()


def parquet(folder: Path) -> list[bytes]:
    python = ROOT / read_environment("corpus", ROOT).folder / "bin" / "python"
    paths = [folder / f"{number}.parquet" for number in range(2)]
    subprocess.run([python, "-c", PARQUET, *map(str, paths)], check=True)
    return [path.read_bytes() for path in paths]


def from_hub(hub: Hub, repository: str, files: dict[str, bytes], gated: bool = False) -> dict[str, Any]:
    """Put files on the hub, and return the record; hashes only of every second one."""
    kind = "models" if gated else "datasets"
    hub.repositories[f"{kind}/{repository}"] = Repository(files, large={*files} - {"config.json"}, gated=gated)
    listed = [
        {"path": path, **({"sha256": sha256(content)} if number % 2 else {})}
        for number, (path, content) in enumerate(files.items())
    ]
    record = {"kind": "hf_model" if gated else "hf_dataset", "repository": repository, "revision": COMMIT}
    return {**record, "files": listed, "licence": "of the card"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("hub")
    clone = copied(folder / "clone")
    shards = parquet(folder)
    with serve_hub() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.address)
        patch.setenv("TAPEOUT_STORE", str(store))
        patch.delenv("HF_TOKEN", raising=False)
        sources = yaml.safe_load((clone.root / "tiny/sources.yaml").read_text())
        sources |= {
            "dolly-15k": from_hub(hub, "databricks/dolly", {"databricks-dolly-15k.jsonl": dolly()}),
            "oasst1": from_hub(hub, "OpenAssistant/oasst1", {"2023-04-12_oasst_all.trees.jsonl.gz": trees()}),
            "squad-v1.1": from_hub(hub, "squad/one", {"train-v1.1.json": squad(False)}),
            "squad-v2.0": from_hub(hub, "squad/two", {"train-v2.0.json": squad(True)}),
            "wikipedia-simple": from_hub(
                hub, "wikimedia/wikipedia", {f"20231101/train-{n:05d}.parquet": data for n, data in enumerate(shards)}
            ),
            "llama-2-7b": from_hub(
                hub, "meta-llama/Llama", {"config.json": b"{}\n", "model.safetensors": b"w" * 9999}, gated=True
            ),
            "notes": {"kind": "folder", "path": "tiny/notes", "exclude": ["/.*"], "licence": "own"},
        }
        notes = clone.root / "tiny/notes/deep"
        notes.mkdir(parents=True)
        for number in range(5):
            (notes / f"{number}.txt").write_text(f"Note {number}: " + "the arbiter grants one request a cycle. " * 4)
        (clone.root / "tiny/sources.yaml").write_text(yaml.safe_dump(sources))
        tiny = yaml.safe_load((clone.root / "tiny/config.yaml").read_text())
        config = copy.deepcopy(tiny)
        example = yaml.safe_load((clone.root / "config/examples/seeds.yaml").read_text())
        config |= {key: value for key, value in example.items() if key != "sources"}
        config["corpus"]["general"] = {"names": ["wikipedia-simple"], "include": ["*.parquet"], "test_fraction": 0.2}
        config["pretraining"]["components"]["notes"] = {"sources": ["notes"], "weight": 1}
        (clone.root / "tiny/config.yaml").write_text(yaml.safe_dump(config))
        yield Place(clone, tiny, hub)


def test_the_instruction_rows_of_the_playbooks(place: Place) -> None:
    names = ["dolly-15k", "oasst1", "squad-v1.1", "squad-v2.0"]
    targets = mark(*(f"instructions/{name}" for name in names))
    run = place.clone.run(*targets)
    assert run.built == sorted([*(f"{kind}/{name}" for kind in ("instructions", "sources") for name in names)])
    rows = {name: sum(place.report(f"instructions/{name}")["rows"].values()) for name in names}
    assert rows == {"dolly-15k": 40, "oasst1": 100, "squad-v1.1": 20, "squad-v2.0": 20}
    assert {request.server for request in place.hub.requests} == {"hub", "storage"}
    assert place.clone.run(*targets).nothing_done


def test_parquet_shards_and_a_folder_are_components_of_a_corpus(place: Place) -> None:
    targets = mark("pretraining/documents/wikipedia-simple", "pretraining/documents/notes")
    place.clone.run(*targets)
    wikipedia, notes = (place.report(f"pretraining/documents/{name}") for name in ("wikipedia-simple", "notes"))
    assert wikipedia["kept"]["documents"] == 20 and notes["kept"]["documents"] == 5
    folder = place.clone.root / "tiny/notes"
    os.utime(folder / "deep/1.txt", (1, 1))
    (folder / ".hidden").write_text("excluded")
    assert place.clone.run(*targets).nothing_done
    (folder / "deep/1.txt").write_text("Note 1, edited: " + "the arbiter grants two requests a cycle. " * 4)
    assert place.clone.run(*targets).built == ["pretraining/documents/notes", "sources/notes"]
    (folder / "link.txt").symlink_to("deep/1.txt")
    text = place.clone.run(*targets, ok=False).text
    assert "WrongContent" in text and "'link.txt' in the folder tiny/notes is a link" in text
    (folder / "link.txt").unlink()


def test_parquet_shards_are_the_general_corpus(place: Place) -> None:
    place.clone.run(*mark("corpus/general"))
    folder = place.clone.root / "results/corpus/general"
    rows = [json.loads(line) for split in ("train", "test") for line in (folder / f"{split}.jsonl").open()]
    assert len(rows) == 20 and {row["source"] for row in rows} == {"wikipedia-simple"}
    assert {row["path"].split(":")[0] for row in rows} == {f"20231101/train-0000{shard}.parquet" for shard in (0, 1)}


def test_a_gated_model_needs_a_token_which_is_found_nowhere_after(
    place: Place, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = place.clone.run(*mark("sources/llama-2-7b"), ok=False).text
    assert "AccessDenied" in text and "there is no token in HF_TOKEN" in text and "/meta-llama/Llama" in text
    assert not (place.clone.root / "results/sources/llama-2-7b").exists()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert place.clone.run(*mark("sources/llama-2-7b")).built == ["sources/llama-2-7b"]
    assert (place.clone.root / "results/sources/llama-2-7b/model.safetensors").read_bytes() == b"w" * 9999
    assert any((store / "objects").rglob("*"))
    for folder in (store, *map(place.clone.root.joinpath, ("results", "logs", "work", "downloads", ".snakemake"))):
        for path in folder.rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


ALIGNER = (
    "\x00System\n{system message}\n\x11User\n{turn 1 user message}\n\x11Assistant\n\x12{turn 1 assistant label}\n"
    "{turn 1 assistant message}\n\x11User\n{turn 2 user message}\n\x11Assistant\n\x12{turn 2 assistant label}\n"
    "{turn 2 assistant message}\n\x11"
)
EXTRA_ID = ALIGNER.replace("\x00", "<extra_id_0>").replace("\x11", "<extra_id_1>").replace("\x12", "<extra_id_2>")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    ("example", "prompt", "template", "marked"),
    [
        ("sft_dolly", {}, "{input} {output}", "What is {n} times {n}?"),
        ("sft_chat", {"tokens": "aligner"}, ALIGNER, "\ufffdUser"),
        ("sft_chat", {"tokens": "extra_id"}, EXTRA_ID, "<extra_id_1>User"),
        ("sft_chat", {"tokens": "template", "chat_template": "tiny/chatml.jinja"}, CHATML, "<|im_start|>user"),
    ],
    ids=["dolly", "aligner", "extra_id", "template"],
)
def test_the_fine_tunings_of_the_guides(
    place: Place, example: str, prompt: dict[str, str], template: str, marked: str
) -> None:
    """Each trains from its own example; a dry run shows the rows of its first batch before."""
    path = place.clone.root / "tiny/config.yaml"
    before = path.read_text()
    (place.clone.root / "tiny/chatml.jinja").write_text(CHATML)
    changes = yaml.safe_load((place.clone.root / f"config/examples/{example}.yaml").read_text())
    del changes["sources"]
    config = merge(merge(place.tiny, changes), {"instructions": {"prompt": prompt}})
    (name,) = config["instructions"]["train"]
    try:
        path.write_text(yaml.safe_dump(config))
        place.clone.run(*mark(f"encoded/{name}", "dapt/model"))
        shown = subprocess.run(
            ["bin/snakemake", "--configfile", "tiny/config.yaml", "--cores", "2", "--dry-run", *mark("sft/model")],
            cwd=place.clone.root,
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        ).stdout
        place.clone.run(*mark("sft/model"))
    finally:
        path.write_text(before)
    results = place.clone.root / "results"
    stored = json.loads((results / f"encoded/{name}/prompt_template.json").read_bytes())
    assert template == (stored["chat"] if name == "oasst1" else config["sft"]["template"])
    log = json.loads((results / "sft/model/train_log.json").read_bytes())
    assert len(log["steps"]) == config["sft"]["max_steps"] and log["steps"][-1]["loss"] < log["steps"][0]["loss"]
    numbers = [marked.format(n=n) for n in range(40)]
    assert f"encoded/{name}/train.jsonl:" in shown and "^" in shown and any(number in shown for number in numbers)
