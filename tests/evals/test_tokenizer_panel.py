"""Counts of the tokenizer's panel against direct encoding, neighbours of planted rows, and the segmented file."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from tapeout.config.bases.tiny import Base
from tapeout.evals.tokenizer_panel import EXAMPLE_LINES, nearest, tokenizer_panel
from tapeout.models import llama
from tapeout.models.huggingface import new_model, save_model
from tapeout.nemo.embedding import embedding_rows
from tapeout.tokenizer.extension import extend_vocabulary
from tests.models.small_llama import ARCHITECTURE
from tests.tokenizer.material import BASE, DOMAIN, GENERAL, PROSE, VOCABULARY, core, job

pytestmark = pytest.mark.environment("nemo")

BEFORE, AFTER = VOCABULARY.encoder, extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), 1).vocabulary.encoder
MODULE = "// é: a comment\n" + core("zqx", 1)[0] + "// more\n" * EXAMPLE_LINES


def rows(source: str, ending: str, texts: list[str]) -> list[dict[str, Any]]:
    """Return documents of a source."""
    return [
        {"digest": sha256(text.encode()).hexdigest(), "source": source, "path": f"{n}{ending}", "text": text}
        for n, text in enumerate(texts)
    ]


CORPORA = {"domain": rows("zqx", ".sv", [MODULE, "wire a;\n"]), "general": rows("prose", ".txt", PROSE)}


def test_counts_are_those_of_direct_encoding() -> None:
    found = tokenizer_panel(BEFORE, AFTER, CORPORA, torch.randn(AFTER.size + 5, 8), threads=1)
    (module, wire), general = found["documents"]["domain"], found["documents"]["general"]
    assert (module["before"], module["after"]) == tuple(len(encoder.encode(MODULE)) for encoder in (BEFORE, AFTER))
    assert (module["bytes"], module["lines"], wire["lines"]) == (len(MODULE.encode()), MODULE.count("\n"), 1)
    assert module["after"] < module["before"] and not any(document["lines"] for document in general)
    ids = AFTER.encode(MODULE) + AFTER.encode("wire a;\n")
    assert {piece["id"]: piece["domain"] for piece in found["pieces"]} == {
        index: ids.count(index) for index in range(BEFORE.size, AFTER.size)
    }
    assert sum(piece["domain"] for piece in found["pieces"]) > 20 and found["pieces"][-1]["domain"] == 0
    assert all(piece["piece"] == AFTER.decode([piece["id"]]) for piece in found["pieces"] if piece["piece"][0] != " ")


def test_a_module_is_cut_into_its_tokens() -> None:
    example = tokenizer_panel(BEFORE, AFTER, CORPORA, torch.randn(AFTER.size, 8), threads=1)["example"]
    lines = MODULE.splitlines(keepends=True)[1 : 1 + EXAMPLE_LINES]
    assert (example["source"], example["path"]) == ("zqx", "0.sv")
    for name, encoder in (("before", BEFORE), ("after", AFTER)):
        assert "".join(example[name]) == "".join(lines) and len(example[name]) == len(encoder.encode("".join(lines)))
    without = {**CORPORA, "domain": CORPORA["domain"][1:]}
    assert tokenizer_panel(BEFORE, AFTER, without, torch.randn(AFTER.size, 8), threads=1)["example"] is None


def test_neighbours_are_the_rows_with_the_highest_cosine() -> None:
    embedding = torch.eye(6, 6)[:, :5]  # the last row is zero
    embedding[0] = torch.tensor([0.0, 3.0, 4.0, 0.0, 0.0])
    assert nearest(embedding, 0)[:2] == [(2, 0.8), (1, 0.6)]
    assert nearest(embedding.bfloat16(), 3) == [(0, 0.0), (1, 0.0), (2, 0.0), (4, 0.0)]


@pytest.mark.parametrize("tied", [False, True])
def test_the_embedding_of_a_folder_is_read_alone(tmp_path: Path, tied: bool) -> None:
    (tmp_path / "base.model").write_bytes(BASE)
    model = new_model(
        Base(architecture={**ARCHITECTURE, "share_embeddings_and_output_weights": tied}), tmp_path / "base.model"
    )
    save_model(model, llama, tmp_path / "base.model", tmp_path / "base")
    assert torch.equal(embedding_rows(tmp_path / "base"), model.get_input_embeddings().weight)
