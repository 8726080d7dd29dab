"""Checks of a conversion, and the NOTICE of an exported model."""

import pytest
import torch

from tapeout.config.export import Attribution
from tapeout.nemo.convert import ConversionMismatch, compare_tensors
from tapeout.nemo.export import notice

pytestmark = pytest.mark.environment("nemo")


def test_tokenizer_and_training_sources_are_named_with_their_licences() -> None:
    trained_on = {
        "ibex": Attribution(origin="package ibex 1, file i.whl", licence="Apache-2.0"),
        "blackparrot": Attribution(origin="package blackparrot 2, file b.whl", licence="BSD-3-Clause AND SHL-0.51"),
    }
    text = notice(Attribution(origin="package mistral-common 1.12.0, file m.whl", licence="Apache-2.0"), trained_on)
    assert text.index("mistral-common") < text.index("blackparrot:") < text.index("ibex:")
    assert "- blackparrot: package blackparrot 2, file b.whl\n  licence: BSD-3-Clause AND SHL-0.51\n" in text
    assert text.count("licence: Apache-2.0\n") == 2


def test_a_changed_or_missing_tensor_is_an_error() -> None:
    good = {"a": torch.zeros(2), "b": torch.ones(2)}
    compare_tensors(good, dict(good))
    with pytest.raises(ConversionMismatch, match="b changed"):
        compare_tensors(good, {**good, "b": torch.tensor([1.0, 1.0 + 1e-7])})
    with pytest.raises(ConversionMismatch, match="a changed"):
        compare_tensors(good, {**good, "a": torch.zeros(2, dtype=torch.bfloat16)})
    with pytest.raises(ConversionMismatch, match="Only one of the two models has the tensor b"):
        compare_tensors(good, {"a": good["a"]})
