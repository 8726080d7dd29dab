"""A certificate is written for the trained model only: other ids, logits, answers or templates are refused.

Fault 14: the former export gave other ids for 480 of 480 prompts, and its templates rendered what was never trained.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tapeout.config.export import CertificateJob, ExportAdapterJob
from tapeout.deploy.adapter import export_adapter
from tapeout.deploy.certificate import CertificateRefused, certify, digests
from tapeout.deploy.huggingface import PARITY, export_model
from tapeout.deploy.served_tokenizer import ends_of_answers
from tapeout.deploy.token_ids import check_prompts, load_tokenizer, read_sets
from tapeout.encoder.load import load_encoder
from tapeout.evals.answers import answer_text
from tapeout.evals.questions import encode_questions, read_questions
from tapeout.models import llama
from tapeout.models.adapter import Adapter, merge_adapter, write_adapter
from tapeout.models.huggingface import write_tokenizer as write_files
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.nemo.convert import ConversionMismatch
from tests.byte_level_material import write_tokenizer as write_byte_level
from tests.deploy.material import MODEL, RUNS, answers, conversations, export_job, make_set, questions

pytestmark = pytest.mark.environment("serve")

NEW_TOKENS = 12
OLD_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""The template of single questions that the former export wrote, whatever was trained."""


class Exported(NamedTuple):
    """An exported model with everything that its certificate is computed from."""

    folder: Path
    job: CertificateJob
    sets: list[tuple[Path, Path]]
    evaluations: list[tuple[Path, Path]]

    def certify(self) -> dict[str, Any]:
        return certify(self.folder, self.job, self.sets, [], self.evaluations)


def random_model(folder: Path) -> Path:
    """Write a model of random weights for the tokenizer in a folder."""
    encoder = load_encoder(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        **sizes,
        num_key_value_heads=2,
        vocab_size=encoder.size + 3,
        max_position_embeddings=420,
        bos_token_id=encoder.bos,
        eos_token_id=encoder.eos,
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # answers then depend on the prompt
    tokenizer = tokenizer_path(folder)
    (folder / "model").mkdir()
    model.save_pretrained(folder / "model")
    write_files(llama, tokenizer, 420, folder / "model")
    return folder / "model"


def evaluate(model: Path, rows: Path, job: CertificateJob, output: Path) -> Path:
    """Write the model's greedy answers to the test rows, by argmax of the logits of the whole sequence."""
    network, encoder = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval(), load_encoder(model)
    answers = []
    for question in encode_questions(encoder, job.encoding, 420, read_questions(rows / "test.jsonl")):
        tokens: list[int] = []
        while len(tokens) < NEW_TOKENS and not (tokens and tokens[-1] in question.stop_ids):
            with torch.no_grad():
                logits = network(torch.tensor([[*question.prompt, *tokens]])).logits[0, -1, : encoder.size]
            tokens.append(int(logits.argmax()))
        text, _ = answer_text(encoder, question, tokens, question.stop_ids)
        answers.append({"digest": question.digest, "generated": text})
    output.write_bytes(orjson.dumps({"result": {"answers": answers}}))
    return output


def made(folder: Path, name: str, rows: list[dict[str, Any]], **changes: Any) -> Exported:
    """Export a random model that was tuned on rows; the folder has its tokenizer."""
    export = export_job(name).model_copy(update=changes)
    shared = {
        field: getattr(export, field) for field in CertificateJob.model_fields if field in type(export).model_fields
    }
    job = CertificateJob(**shared, max_new_tokens=NEW_TOKENS)
    for row in rows:
        row |= {"source": "example", "licence": "MIT"}
    pair, model = make_set(folder, "rows", rows, export), random_model(folder)
    export_model(model, folder / "exported", export, [pair], [], {})
    evaluation = evaluate(model, pair[0], job, folder / "evaluation.json")
    return Exported(folder / "exported", job, [pair], [(pair[0] / "test.jsonl", evaluation)])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "tokenizer.model").write_bytes(MODEL)
    yield made(folder, "aligner", questions())


@pytest.mark.parametrize("name", ["aligner", "extra_id", "chatml", "controlled"])
def test_conversations_with_system_messages_are_certified(tmp_path: Path, name: str) -> None:
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    certificate = made(tmp_path, name, conversations()).certify()
    assert certificate["answers"]["equal"] == 2 and certificate["refused"]["roles"] == 9
    prompts = [counts["prompts"] for counts in certificate["token_ids"].values()]
    assert prompts == [answers(conversations())] * 2


def test_the_template_of_smollm2_is_certified(tmp_path: Path) -> None:
    """A byte-level tokenizer without bos, whose control pieces are the marks of ChatML."""
    write_byte_level(tmp_path, "smollm2", lines=RUNS)
    found = made(tmp_path, "chatml", conversations())
    certificate = found.certify()
    assert certificate["answers"]["equal"] == 2 and certificate["refused"]["reserved_names"] > 0
    tokenizer = load_tokenizer(found.folder)
    assert "tokenizer.model" not in certificate["files"] and tokenizer.bos_token is None


def test_questions_are_certified_with_every_file(exported: Exported) -> None:
    certificate = exported.certify()
    assert certificate["answers"] == {"equal": 2, "tie": 0, "tie_limit": 2e-4}
    assert certificate["logits"]["largest_difference"] <= 1e-4 and certificate["logits"]["tokens"] == 128
    assert certificate["files"] == digests(exported.folder)
    assert certificate["token_ids"]["slow"] == {"prompts": 9, "prompts_with_reserved_names": 1}
    assert certificate["export"]["versions"]["transformers"] == certificate["versions"]["transformers"]
    assert exported.certify() == certificate


def edited(exported: Exported, folder: Path, file: str, **changes: Any) -> Exported:
    """Return a copy of an export, in which keys of a JSON file are changed."""
    shutil.copytree(exported.folder, folder / "edited")
    path = folder / "edited" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return exported._replace(folder=folder / "edited")


def test_the_former_export_is_refused(exported: Exported, tmp_path: Path) -> None:
    """Every prompt that it renders has other ids than in training."""
    former = edited(exported, tmp_path, "tokenizer_config.json", chat_template=OLD_TEMPLATE)
    with pytest.raises(ConversionMismatch, match="encode encoded/rows/validation"):
        former.certify()
    tokenizer, (_, rows) = load_tokenizer(former.folder), read_sets(exported.sets)
    ids = [
        tokenizer.apply_chat_template([{"role": "user", "content": row["input"]}], return_dict=False)
        for _, row, _ in rows
    ]
    assert all(list(one) != line["ids"][: len(one)] for one, (_, _, line) in zip(ids, rows, strict=True))


def test_a_template_that_renders_other_roles_is_refused(exported: Exported, tmp_path: Path) -> None:
    template = json.loads((exported.folder / "tokenizer_config.json").read_text())["chat_template"]
    lenient = template.replace("messages | length != 1 or ", "")
    assert lenient != template
    with pytest.raises(CertificateRefused, match="which the training had not"):
        edited(exported, tmp_path, "tokenizer_config.json", chat_template=lenient).certify()


def test_names_of_control_pieces_must_be_refused(exported: Exported, tmp_path: Path) -> None:
    template = json.loads((exported.folder / "tokenizer_config.json").read_text())["chat_template"]
    trusting = template.replace("{% if name in text %}", "{% if false %}")
    assert trusting != template
    with pytest.raises(CertificateRefused, match="chat template renders .*<"):
        edited(exported, tmp_path, "tokenizer_config.json", chat_template=trusting).certify()


def test_other_logits_are_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(CertificateRefused, match="Logits in the current transformers differ"):
        edited(exported, tmp_path, "config.json", rms_norm_eps=1e-2).certify()


def test_another_answer_is_refused_unless_two_tokens_tie(exported: Exported, tmp_path: Path) -> None:
    (test, result) = exported.evaluations[0]
    content = json.loads(result.read_text())
    content["result"]["answers"][1]["generated"] += "x"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    changed = exported._replace(evaluations=[(test, other)])
    with pytest.raises(CertificateRefused, match="differently from the evaluated one"):
        changed.certify()
    tolerant = changed._replace(job=exported.job.model_copy(update={"tolerance": 1e6}))
    assert tolerant.certify()["answers"] == {"equal": 1, "tie": 1, "tie_limit": 2e6}
    content["result"]["answers"][0]["digest"] = "0" * 64
    other.write_text(json.dumps(content))
    with pytest.raises(CertificateRefused, match="only 1 of their rows can be asked again"):
        changed.certify()


def test_weights_in_16_bits_are_compared_with_the_rounded_model(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    found = made(tmp_path, "aligner", questions(), dtype="bfloat16")
    parity = json.loads((found.folder / PARITY).read_text())
    assert parity["weights"] == "bfloat16" and parity["largest_difference"] <= 1e-4 < parity["rounding"]
    assert json.loads((found.folder / "config.json").read_text())["dtype"] == "bfloat16"
    answers = found.certify()["answers"]
    assert answers["equal"] + answers["tie"] == 2 and answers["tie_limit"] >= 2 * round(parity["rounding"], 6)


def test_a_model_that_is_not_loaded_has_neither_logits_nor_answers(exported: Exported) -> None:
    job = exported.job.model_copy(update={"parity_tokens": 0})
    certificate = exported._replace(job=job).certify()
    assert certificate["logits"] is None and certificate["answers"] is None and certificate["token_ids"]


def test_an_adapter_is_certified_as_its_merged_model(tmp_path: Path) -> None:
    """PEFT adds it to the base model; its folder has the tokenizer and the template of the merged model."""
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    base = random_model(tmp_path)
    generator = torch.Generator().manual_seed(3)
    layers = {f"model.layers.{number}.self_attn.q_proj": (32, 32) for number in range(2)}
    pairs = {
        layer: tuple(torch.randn(shape, generator=generator) / 8 for shape in ((4, wide), (tall, 4)))
        for layer, (tall, wide) in layers.items()
    }
    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    adapter.mkdir()
    write_adapter(Adapter(4, 8, pairs), base, adapter)  # type: ignore[arg-type]
    merge_adapter(base, adapter, merged)
    export, rows = export_job("aligner"), conversations()
    pair = make_set(tmp_path, "rows", rows, export)
    export_model(merged, tmp_path / "exported", export, [pair], [], {})
    output, job = tmp_path / "export", ExportAdapterJob(tolerance=1e-4, parity_tokens=64)
    export_adapter(adapter, base, tmp_path / "exported", output, job)
    parity = json.loads((output / PARITY).read_text())
    assert parity["largest_difference"] <= 1e-4 and parity["base"] == digests(base)
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "NOTICE"} <= set(digests(output))
    shapes, checked = read_sets([pair])
    ends = ends_of_answers(load_encoder(output), export, shapes)
    assert check_prompts(output, checked, ends, export.encoding)["prompts"] == answers(conversations())
    write_adapter(Adapter(4, 9, pairs), base, adapter)  # type: ignore[arg-type]
    with pytest.raises(CertificateRefused, match="with the adapter differ from the merged model's"):
        export_adapter(adapter, base, tmp_path / "exported", tmp_path / "other", job)
