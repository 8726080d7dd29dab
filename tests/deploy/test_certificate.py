"""A certificate is written for the trained model only: other ids, logits, answers or templates are refused.

Fault 14: the former export gave other ids for 480 of 480 prompts, and its templates rendered what was never trained.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tapeout.config.export import ExportAdapterJob
from tapeout.deploy.adapter import export_adapter
from tapeout.deploy.certificate import CertificateRefused, check_refusals, digests
from tapeout.deploy.huggingface import PARITY, export_model
from tapeout.deploy.served_tokenizer import ends_of_answers
from tapeout.deploy.token_ids import check_prompts, load_tokenizer, read_sets
from tapeout.encoder.load import load_encoder
from tapeout.models.adapter import Adapter, merge_adapter, write_adapter
from tapeout.nemo.convert import ConversionMismatch
from tests.byte_level_material import write_tokenizer as write_byte_level
from tests.deploy.exported import Exported, made, random_model
from tests.deploy.material import MODEL, RUNS, answers, conversations, export_job, make_set, questions

pytestmark = pytest.mark.environment("serve")

OLD_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""The template of single questions that the former export wrote, whatever was trained."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "tokenizer.model").write_bytes(MODEL)
    yield made(folder, "aligner", questions())


@pytest.mark.parametrize("name", ["aligner", "extra_id", "chatml", "controlled"])
def test_conversations_with_system_messages_are_certified(tmp_path: Path, name: str) -> None:
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    certificate = made(tmp_path, name, conversations()).certify()
    assert certificate["answers"]["equal"] == 2 and certificate["refused"]["other_requests"] == 13
    prompts = [counts["prompts"] for counts in certificate["token_ids"].values()]
    assert prompts == [answers(conversations())] * 2


def test_the_template_of_smollm2_is_certified(tmp_path: Path) -> None:
    """A byte-level tokenizer without bos, whose control pieces are the marks of ChatML."""
    write_byte_level(tmp_path, "smollm2", lines=RUNS)
    found = made(tmp_path, "chatml", conversations())
    certificate = found.certify()
    assert certificate["answers"]["equal"] == 2 and certificate["refused"]["reserved_names"] > 0
    assert "tokenizer.model" not in certificate["files"]


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
    assert all(list(one) != line["ids"][: line["mask"].index(1)] for one, (_, _, line) in zip(ids, rows, strict=True))


def template_of(exported: Exported) -> str:
    return str(json.loads((exported.folder / "tokenizer_config.json").read_text())["chat_template"])


WEAKER = {
    "order of roles": ("messages | length != 1 or ", ""),
    "names": ("{% if name in text %}", "{% if false %}"),
    "tools": ("{% if tools or documents %}", "{% if documents %}"),
}
"""Parts of the template of questions, and what stands in their place where a check is missing."""
WEAKER_TURNS = {
    "system": ("{{ check(messages[0]['content']) }}", ""),
    "turns": ("{{ check(turn['content']) }}", ""),
    "label of an answer": ("{{ check(turn['label']) }}", ""),
    "label of the next answer": ("{% if label %}{{ check(label) }}", "{% if label %}"),
}
"""The same for conversations."""


@pytest.mark.parametrize("missing", WEAKER)
def test_a_template_of_questions_that_lacks_a_check_is_refused(
    exported: Exported, tmp_path: Path, missing: str
) -> None:
    template = template_of(exported)
    assert WEAKER[missing][0] in template
    with pytest.raises(CertificateRefused, match="which the training had not"):
        edited(exported, tmp_path, "tokenizer_config.json", chat_template=template.replace(*WEAKER[missing])).certify()


@pytest.mark.parametrize("systems", [("Be brief.",), ("a", "b")])
def test_a_template_of_conversations_that_lacks_a_check_is_refused(tmp_path: Path, systems: tuple[str, ...]) -> None:
    """Also where a request without a system message would be refused for that reason alone."""
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    whole = made(tmp_path, "aligner", conversations(), systems=systems)
    tokenizer, reserved = load_tokenizer(whole.folder), load_encoder(whole.folder).reserved_names
    assert check_refusals(tokenizer, reserved, own_template=False)["reserved_names"] > 50
    for missing, (old, new) in WEAKER_TURNS.items():
        assert old in template_of(whole), missing
        tokenizer.chat_template = template_of(whole).replace(old, new)
        with pytest.raises(CertificateRefused, match="which the training had not"):
            check_refusals(tokenizer, reserved, own_template=False)


def test_a_template_that_renders_nothing_proves_nothing(exported: Exported) -> None:
    tokenizer = load_tokenizer(exported.folder)
    tokenizer.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(CertificateRefused, match="renders no simple request"):
        check_refusals(tokenizer, [], own_template=False)


def test_rows_with_different_default_systems_are_certified(tmp_path: Path) -> None:
    """One of them is empty: the request then has an empty system message."""
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    rows = conversations()
    for row in rows[::2]:
        row["system"] = ""
    assert made(tmp_path, "aligner", rows, systems=("", "Be brief.")).certify()["answers"]["equal"] == 2


@pytest.mark.parametrize("changes", [{"eos_token_id": 5}, {"do_sample": True}, {"stop_strings": ["x"]}])
def test_other_ends_of_answers_are_refused(exported: Exported, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(CertificateRefused, match=r"generation_config\.json says"):
        edited(exported, tmp_path, "generation_config.json", **changes).certify()


def test_another_length_of_the_context_is_refused(exported: Exported, tmp_path: Path) -> None:
    with pytest.raises(CertificateRefused, match="different lengths of the context"):
        edited(exported, tmp_path, "config.json", max_position_embeddings=4096).certify()


def test_tokens_that_change_places_are_noticed(exported: Exported, tmp_path: Path) -> None:
    """Neither the largest logit nor the log-sum-exp would show it, and no answer was evaluated."""
    shutil.copytree(exported.folder, tmp_path / "permuted")
    weights = load_file(tmp_path / "permuted/model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"].flip(0).contiguous()
    save_file(weights, tmp_path / "permuted/model.safetensors", {"format": "pt"})
    permuted = exported._replace(folder=tmp_path / "permuted", evaluations=[])
    with pytest.raises(CertificateRefused, match="Logits in the current transformers differ"):
        permuted.certify()
    assert exported._replace(evaluations=[]).certify()["answers"] is None


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
    content["result"]["answers"][0]["digest"] = "f" * 64
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
    assert answers["equal"] + answers["tie"] == 2 and answers["tie_limit"] == pytest.approx(
        2 * parity["rounding"], abs=1e-5
    )


def test_a_model_that_is_not_loaded_has_neither_logits_nor_answers(exported: Exported, tmp_path: Path) -> None:
    certificate = edited(exported, tmp_path, PARITY, tokens=0, logits=None).certify()
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
