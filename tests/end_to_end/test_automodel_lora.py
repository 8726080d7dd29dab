"""LoRA on SQuAD in the real graph, with both engines: from the rows of the example to a score of the merged model."""

import json
import re

import pytest
import yaml

from tests.end_to_end.conftest import ROOT, Clone

pytestmark = pytest.mark.end_to_end


def squad() -> str:
    """Return questions about twenty articles in the form of SQuAD v1.1."""
    articles = []
    for number in range(20):
        context = f"Bus {number} is {8 * number + 8} bits wide."
        answer = {"text": str(8 * number + 8), "answer_start": context.index(" is ") + 4}
        question = {"id": str(number), "question": f"How wide is bus {number}?", "answers": [answer]}
        articles.append({"title": f"Bus {number}", "paragraphs": [{"context": context, "qas": [question]}]})
    return json.dumps({"version": "1.1", "data": articles})


@pytest.mark.usefixtures("shared_store")
def test_lora_on_squad(fresh: Clone) -> None:
    tiny = fresh.root / "tiny"
    (tiny / "squad.json").write_text(squad())
    sources = yaml.safe_load((tiny / "sources.yaml").read_text())
    sources["squad-v1.1"] = {"kind": "file", "path": "tiny/squad.json", "licence": "CC-BY-SA-4.0"}
    (tiny / "sources.yaml").write_text(yaml.safe_dump(sources))
    config = yaml.safe_load((tiny / "config.yaml").read_text())
    example = yaml.safe_load((ROOT / "config/examples/automodel_lora.yaml").read_text())
    config["instructions"]["sets"] |= example["instructions"]["sets"]
    config["instructions"]["train"] = example["instructions"]["train"]
    for section in ("tokenizer", "evaluation", "export"):
        config[section] = config.get(section, {}) | example[section]
    config["data_report"]["gates"] = {"contaminated": 1.0}  # one sentence with other numbers in every row
    small = {"max_steps": 4, "val_check_interval": 2, "global_batch_size": 4, "lr": 1e-3, "threads": 1}
    small |= {"seq_length": 512, "warmup_steps": 0, "micro_batch_size": 2}
    config["methods"] = {"automodel_lora": {**example["methods"]["automodel_lora"], **small}, "lora": small}
    config["sft"]["seq_length"] = 512  # the prompt is long for a tokenizer of few pieces
    config["base"]["architecture"]["seq_length"] = 512
    (tiny / "config.yaml").write_text(yaml.safe_dump(config))

    targets = ("automodel_lora/merged", "evaluation/lora/bits_per_byte.json", "deploy/nim")
    built = fresh.run("lora/adapter", *targets).built
    assert {"automodel_lora/adapter", "lora/adapter", *targets} <= set(built) and "dapt/model" not in built
    assert fresh.run(*targets).built == []
    adapter, merged = (fresh.root / "results/automodel_lora" / name for name in ("adapter", "merged"))
    log = json.loads((adapter / "train_log.json").read_bytes())
    assert len(log["steps"]) == 4 and log["validation"][-1]["loss"] < log["steps"][0]["loss"]
    settings = json.loads((adapter / "adapter_config.json").read_bytes())
    assert (settings["r"], settings["lora_alpha"]) == (8, 32)
    megatron = fresh.root / "results/lora/adapter"
    assert {file.name for file in megatron.iterdir()} == {file.name for file in adapter.iterdir()}
    assert json.loads((megatron / "adapter_config.json").read_bytes()) == settings
    first, same = (json.loads((folder / "train_log.json").read_bytes())["steps"][0] for folder in (adapter, megatron))
    assert first["loss"] == pytest.approx(same["loss"], abs=1e-4), "both begin with the base model and the same rows"
    assert {"config.json", "model.safetensors", "prompt_template.json"} <= {file.name for file in merged.iterdir()}

    nim, exported = fresh.root / "results/deploy/nim", fresh.root / "results/export/adapter"
    certificate = json.loads((nim / "certificate.json").read_bytes())
    assert certificate["answers"]["equal"] > 0 and certificate["export"]["compared_with"] == "Hugging Face"
    assert certificate["token_ids"]["slow"]["prompts"] > 0 and (nim / "nim2-adapter/nim.env").is_file()
    assert json.loads((exported / "parity.json").read_bytes())["largest_difference"] < 1e-4, (
        "PEFT gives the merged model"
    )
    assert (nim / "loras/chip-design-model/adapter_model.safetensors").read_bytes() == (
        exported / "adapter_model.safetensors"
    ).read_bytes()

    fresh.edit("config/templates/alpaca_squad.txt", "Write a response", "Write a reply")
    planned = set(re.findall(r"^  (\S+)  ", fresh.run("-n", *targets).text, re.MULTILINE))
    assert {"encoded/squad-v1.1", "automodel_lora/adapter", "automodel_lora/merged", "deploy/nim"} <= planned
    assert not planned & {"base_extended", "tokenizer", "instructions/rtl"}
