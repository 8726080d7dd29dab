"""Checks of a conversion, and the NOTICE of an exported model."""

from pathlib import Path

import pytest
import torch
from transformers import PretrainedConfig

from tapeout.config.export import Attribution, ExportJob
from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.deploy.huggingface import compare_logits
from tapeout.deploy.notice import notice, stated_licences, write_licences
from tapeout.nemo.convert import ConversionMismatch, compare_tensors

pytestmark = pytest.mark.environment("nemo")


def test_tokenizer_and_training_sources_are_named_with_their_licences() -> None:
    trained_on = {
        "ibex": Attribution(origin="package ibex 1, file i.whl", licence="Apache-2.0"),
        "blackparrot": Attribution(origin="package blackparrot 2, file b.whl", licence="BSD-3-Clause AND SHL-0.51"),
    }
    text = notice(
        Attribution(origin="package mistral-common 1.12.0, file m.whl", licence="Apache-2.0"),
        trained_on,
        {"ibex": ["Apache-2.0"]},
    )
    assert text.index("mistral-common") < text.index("blackparrot:") < text.index("ibex:")
    assert "- blackparrot: package blackparrot 2, file b.whl\n  licence: BSD-3-Clause AND SHL-0.51\n" in text
    assert text.count("licence: Apache-2.0\n") == 2


def test_licences_that_rows_state_themselves_are_named(tmp_path: Path) -> None:
    rows, report = tmp_path / "train.jsonl", tmp_path / "report.json"
    lines = [{"source": "chats", "licence": licence} for licence in ("MIT", "GPL-3.0-only", "CC-BY-4.0", "MIT")]
    write_jsonl(rows, lines)
    write_json(report, {"source": "wiki", "licences": {"GFDL": 2}})
    trained_on = {name: Attribution(origin=f"file {name}", licence="MIT") for name in ("chats", "ibex", "wiki")}
    text = notice(trained_on["ibex"], trained_on, stated_licences([rows], [report]))
    assert text.endswith(
        "- chats: file chats\n  licence: MIT\n  licences that texts in it state instead: CC-BY-4.0, GPL-3.0-only\n"
        "- ibex: file ibex\n  licence: MIT\n"
        "- wiki: file wiki\n  licence: MIT\n  licences that texts in it state instead: GFDL\n"
    )


def test_a_foreign_base_model_is_named_and_its_licence_goes_along(tmp_path: Path) -> None:
    source = Attribution(origin="Hugging Face model owner/name at commit 0", licence="LicenseRef-Own")
    encoding = {"prompt": {}, "chat_template": None, "template": "{input}{output}", "seq_length": 8}
    trained_on = {"ibex": {"origin": "package ibex 1", "licence": "Apache-2.0"}}
    stage = {"max_steps": 1, "global_batch_size": 1, "seq_length": 8}
    card = {"new_pieces": 0, "model": "sft/model", "stages": {"dapt": stage, "sft": stage}}
    values = {"encoding": encoding, "systems": [], "tokenizer": source, "base": source, "trained_on": trained_on}
    job = ExportJob.model_validate({**values, "card": card})
    base, output = tmp_path / "base", tmp_path / "output"
    for folder in (base, output):
        folder.mkdir()
    (base / "LICENSE.txt").write_bytes(b"terms\r\n")
    (base / "NOTICE").write_text("Licensed by the owner.\n")
    write_licences(output, job, {}, base)
    assert (output / "LICENSE.txt").read_bytes() == b"terms\r\n"
    text = (output / "NOTICE").read_text()
    assert text.startswith(f"This model is an adaptation of\n- {source.origin}\n  licence: LicenseRef-Own\n")
    assert text.endswith("\nLicensed by the owner.\n")


def test_a_changed_or_missing_tensor_is_an_error() -> None:
    good = {"a": torch.zeros(2), "b": torch.ones(2)}
    compare_tensors(good, dict(good))
    with pytest.raises(ConversionMismatch, match="b changed"):
        compare_tensors(good, {**good, "b": torch.tensor([1.0, 1.0 + 1e-7])})
    with pytest.raises(ConversionMismatch, match="a changed"):
        compare_tensors(good, {**good, "a": torch.zeros(2, dtype=torch.bfloat16)})
    with pytest.raises(ConversionMismatch, match="Only one of the two models has the tensor b"):
        compare_tensors(good, {"a": good["a"]})


def test_bits_are_compared_not_numbers() -> None:
    nan = {"a": torch.tensor([float("nan")])}
    compare_tensors(nan, {"a": nan["a"].clone()})
    for one, other in ((0.0, -0.0), (1.0, torch.tensor(1.0, dtype=torch.float64))):
        with pytest.raises(ConversionMismatch, match="a changed"):
            compare_tensors({"a": torch.tensor(one)}, {"a": torch.as_tensor(other)})


def test_without_tokens_no_logits_are_compared(tmp_path: Path) -> None:
    found = compare_logits(tmp_path, tmp_path, PretrainedConfig(), ExportJob.model_construct(parity_tokens=0), None)
    assert found == {"tokens": 0, "largest_difference": None, "rounding": None, "logits": None}
