"""Texts and trained parts of conversations, written by hand: the row "SFT, chat" of the known answers."""

import pytest

from tapeout.data.encode.chat import ALIGNER, EXTRA_ID
from tests.data.encode.test_encoded_set import talk, trained

pytestmark = pytest.mark.environment("data")


def test_sft_chat() -> None:
    """Known answer of the row: texts and trained parts of five conversations, written by hand.

    Two end with the user, two have no label, one begins with an answer.
    """
    text, spans = ALIGNER.render(talk("a", "b", "c", "d", labels=True))
    assert text == (
        "\x00System\nBe brief.\n\x11User\na\n\x11Assistant\n\x12quality:4\nb\n\x11User\nc\n"
        "\x11Assistant\n\x12quality:4\nd\n\x11"
    )
    assert trained(text, spans) == ["b\n", "\x11", "d\n", "\x11"]
    text, spans = EXTRA_ID.render(talk("a", "b", "c", labels=True, kind=None))
    assert text.endswith("<extra_id_1>Assistant\nb\n<extra_id_1>User\nc\n")
    assert trained(text, spans) == ["b\n", "<extra_id_1>"]
    first = talk("x", "y")
    first["conversations"] = [{"from": "Assistant", "value": "hello"}, *first["conversations"]]
    assert trained(*ALIGNER.render(first)) == ["y\n", "\x11"]
    text, spans = ALIGNER.render(talk("a", "b", "c"))
    assert text == "\x00System\nBe brief.\n\x11User\na\n\x11Assistant\nb\n\x11User\nc\n"
    assert trained(text, spans) == ["b\n", "\x11"]
    one_label = talk("a", "b", "c", "d", labels=True)
    del one_label["conversations"][1]["label"]
    text, spans = EXTRA_ID.render({**one_label, "system": ""})
    assert text == (
        "<extra_id_0>System\n\n<extra_id_1>User\na\n<extra_id_1>Assistant\nb\n<extra_id_1>User\nc\n"
        "<extra_id_1>Assistant\n<extra_id_2>quality:4\nd\n<extra_id_1>"
    )
    assert trained(text, spans) == ["b\n", "<extra_id_1>", "d\n", "<extra_id_1>"]
