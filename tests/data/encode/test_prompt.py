"""The prompt template and the loss mask of a row."""

import pytest

from tapeout.config.sft import Sft
from tapeout.data.encode.prompt import encode_example, encode_prompt, prompt_text, split_template
from tapeout.data.errors import InvalidTemplate
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("data")

TEMPLATE = "{input}\n### Answer: {output}"


def test_template_parts() -> None:
    assert split_template("Q: {input}\nA: {output}") == ("Q: ", "\nA: ", "")
    assert prompt_text(TEMPLATE, "a {output} {input} {{") == "a {output} {input} {{\n### Answer: "


@pytest.mark.parametrize("bad", ["{input}", "{output}{input}", "{input}{output}.", "{input}{input}{output}", "x"])
def test_bad_templates_are_refused(bad: str) -> None:
    with pytest.raises(InvalidTemplate):
        split_template(bad)
    with pytest.raises(ValueError, match="must have {input} once"):
        Sft(template=bad)


def test_loss_is_on_the_answer_and_its_end() -> None:
    encoder = SentencePieceEncoder(train(["the answer is in {x} of a prompt"] * 9, 300, hard_vocab_limit=False))
    ids, mask = encode_example(encoder, TEMPLATE, "in {x}", "the answer")
    prompt, answer = encode_prompt(encoder, TEMPLATE, "in {x}"), encoder.encode("the answer")
    assert ids == [*prompt, *answer, encoder.eos] and ids[0] == encoder.bos
    assert mask == [0] * len(prompt) + [1] * (len(answer) + 1)
