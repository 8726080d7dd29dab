"""The model card of an exported model."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tapeout.config.export import Attribution, CardFacts, ExportJob, Stage
from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.data.encode.prompt import prompt_text
from tapeout.deploy.model_card import CARD, FENCE, QUESTION, hub_licence, write_card
from tapeout.deploy.served_tokenizer import write_tokenizer
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.models import llama
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("nemo")

TEMPLATE = "{input}\n### Answer: {output}"
MODEL = train(["What is a mux?", "assign q = d;"] * 30, 320, hard_vocab_limit=False)
CORES = Attribution(origin="package cores 1.0", licence="BSD-3-Clause AND SHL-0.51")
HUB = Attribution(origin="Hugging Face model owner/name at commit 0", licence="LicenseRef-Own | terms")


def job(**changes: Any) -> ExportJob:
    encoding = EncodeJob(prompt=Prompt(), chat_template=None, template=TEMPLATE, seq_length=64)
    long, short = (Stage(max_steps=steps, global_batch_size=8, seq_length=64) for steps in (12_000, 250))
    facts = CardFacts(licence="Apache-2.0", new_pieces=768, model="sft/model", stages={"dapt": long, "sft": short})
    given = {"encoding": encoding, "systems": (), "tokenizer": CORES, "trained_on": {"cores": CORES}, "card": facts}
    return ExportJob(**{**given, **changes})


def card(folder: Path, job: ExportJob, shapes: list[str], **stated: list[str]) -> tuple[dict[str, Any], str]:
    """Write a small model with its card; return the card's metadata and its text."""
    encoder = SentencePieceEncoder(MODEL)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=encoder.size
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "base.model").write_bytes(MODEL)
    write_tokenizer(folder / "base.model", folder, llama, job, shapes, 64)
    write_card(folder, job, stated, shapes)
    start, metadata, text = (folder / CARD).read_text().split(FENCE, 2)
    assert start == ""
    return yaml.safe_load(metadata), text


def test_the_metadata_and_the_text_state_licences_sizes_and_stages(tmp_path: Path) -> None:
    metadata, text = card(tmp_path, job(), ["question"], cores=["MIT", CORES.licence])
    assert metadata["license"] == "apache-2.0" and metadata["library_name"] == "transformers"
    assert metadata["language"] == ["en"] and "base_model" not in metadata
    weights = 2 * SentencePieceEncoder(MODEL).size * 16 + 4 * 16 * 16 + 3 * 16 * 32 + 3 * 16
    assert f"| Weights | {weights:,} (float32) |" in text
    assert "| continued pretraining on text of the domain | 12,000 | 8 | 64 |" in text
    assert "extended by 768 pieces" in text
    assert f"| cores | {CORES.origin} | {CORES.licence}; MIT |" in text


def test_a_model_that_has_seen_no_questions_is_not_said_to_answer_them(tmp_path: Path) -> None:
    facts = job().card
    stages = {"dapt": facts.stages["dapt"]}
    _, text = card(tmp_path, job(card=facts.model_copy(update={"model": "dapt/model", "stages": stages})), ["question"])
    for part in ("was trained on single questions", "is meant for questions", "prompts of the training", "tuning with"):
        assert part not in text, part
    assert "The model was trained on plain text, not on questions" in text
    assert "It was not trained to answer questions or to follow instructions." in text
    (tmp_path / "tuned").mkdir()
    _, text = card(tmp_path / "tuned", job(), ["question"])
    assert "The model was trained on single questions." in text and "is meant for questions" in text
    assert "trained on plain text" not in text


def test_the_training_of_a_base_model_that_was_made_here_is_stated(tmp_path: Path) -> None:
    stage = Stage(max_steps=640, global_batch_size=4, seq_length=256)
    _, text = card(tmp_path, job(card=job().card.model_copy(update={"pretraining": stage})), ["question"])
    rows = [line for line in text.splitlines() if line.endswith(("| 640 | 4 | 256 |", "| 12,000 | 8 | 64 |"))]
    assert rows[0].startswith("| pretraining of the base model") and rows[1].startswith("| continued pretraining")
    assert "pretraining of the base model" not in text.split("## Training")[0]


def test_a_model_of_a_rule_of_the_project_has_no_table_of_stages(tmp_path: Path) -> None:
    facts = job().card.model_copy(update={"model": "own/model", "stages": {}})
    _, text = card(tmp_path, job(card=facts), ["question"])
    assert "adapted to chip design by the artifact `own/model`." in text and "| Stage |" not in text
    assert "A rule of the project makes `own/model`" in text


def test_a_base_model_of_the_hub_is_named_in_the_metadata(tmp_path: Path) -> None:
    facts = job().card.model_copy(update={"base_model": "owner/name", "licence": HUB.licence})
    metadata, text = card(tmp_path, job(base=HUB, tokenizer=HUB, card=facts), ["question"])
    assert metadata["base_model"] == "owner/name" and metadata["base_model_relation"] == "finetune"
    assert metadata["license"] == "other" and metadata["license_name"] == "licenseref-own-terms"
    assert r"LicenseRef-Own \| terms |" in text, "a bar would end a cell of the table"


def test_without_a_licence_there_is_none_in_the_metadata(tmp_path: Path) -> None:
    facts = job().card.model_copy(update={"licence": None})
    metadata, text = card(tmp_path, job(card=facts), ["question"])
    assert "license" not in metadata and "| Licence | not stated |" in text


@pytest.mark.parametrize("shapes", [["question"], ["conversation", "question"], ["prompt"]])
def test_the_example_is_what_the_chat_template_renders(tmp_path: Path, shapes: list[str]) -> None:
    changed = job(systems=("Be brief.", "Be kind."))
    _, text = card(tmp_path, changed, shapes)
    (shown,) = re.findall(r"```text\n(.*?)\n```", text, re.DOTALL)
    if shapes == ["question"]:
        assert shown == "<s>" + prompt_text(TEMPLATE, QUESTION)
    assert (shown in text) and QUESTION in shown and ("Be brief." in shown) == ("conversation" in shapes)
    assert ("`conversation`, `question`" in text) == (len(shapes) > 1)


def test_the_program_of_the_card_runs(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    _, text = card(tmp_path, job(), ["question"])
    (program,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, CARD, "exec"), {})  # the published text is the thing under test
    assert capsys.readouterr().out
    prompt = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template([{"role": "user", "content": QUESTION}])
    assert prompt[0] == 1


def test_equal_inputs_give_equal_cards(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        card(tmp_path / name, job(), ["question"], cores=["MIT", "ISC"])
        texts.append((tmp_path / name / CARD).read_bytes())
    assert texts[0] == texts[1] and str(tmp_path).encode() not in texts[0]


@pytest.mark.parametrize(
    ("licence", "metadata"),
    [
        ("MIT", {"license": "mit"}),
        ("CC-BY-SA-4.0", {"license": "cc-by-sa-4.0"}),
        ("llama3.1", {"license": "llama3.1"}),
        ("Apache-2.0 AND SHL-0.51", {"license": "other", "license_name": "apache-2.0-and-shl-0.51"}),
        ("???", {"license": "other", "license_name": "other"}),
    ],
)
def test_a_licence_is_named_as_the_hub_names_it(licence: str, metadata: dict[str, str]) -> None:
    assert hub_licence(licence) == metadata
