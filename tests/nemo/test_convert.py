"""Whose work is in an exported model is said in its folder."""

import pytest
from tapeout.nemo.notice import notice

from tapeout.config.export import Attribution, ExportJob

pytestmark = pytest.mark.environment("nemo")


def test_tokenizer_and_training_sources_are_named_with_their_licences() -> None:
    job = ExportJob(
        tokenizer=Attribution(origin="package mistral-common 1.12.0, file m.whl", licence="Apache-2.0"),
        trained_on={
            "ibex": Attribution(origin="package ibex 1, file i.whl", licence="Apache-2.0"),
            "blackparrot": Attribution(origin="package blackparrot 2, file b.whl", licence="BSD-3-Clause AND SHL-0.51"),
        },
    )
    text = notice(job)
    assert text.index("mistral-common") < text.index("blackparrot:") < text.index("ibex:")
    assert "- blackparrot: package blackparrot 2, file b.whl\n  licence: BSD-3-Clause AND SHL-0.51\n" in text
    assert text.count("licence: Apache-2.0\n") == 2
