"""The prompt template and its use: the one place where an instruction row becomes token ids (F47, F48, F55, F57)."""

from tapeout.encoder.interface import Encoder
from tapeout.errors import TapeoutError

TEMPLATE_FILE = "prompt_template.json"
"""File in the folder of a fine-tuned model that holds its template, as ``{"template": ...}`` (F55)."""


class BadTemplate(TapeoutError):
    """A prompt template without exactly one ``{input}`` before exactly one ``{output}``."""


def split_template(template: str) -> tuple[str, str, str]:
    """Cut a template at ``{input}`` and ``{output}``: (before the input, between the two, after the output).

    Raises:
        BadTemplate: a field is missing, repeated or in the wrong order, or text follows the output.
    """
    before, found, rest = template.partition("{input}")
    between, found_output, after = rest.partition("{output}")
    if not found or not found_output or "{input}" in rest or "{output}" in before + after or after:
        raise BadTemplate(
            f"The template {template!r} needs one {{input}}, then one {{output}} at its end.",
            "Write it like '{input}\\n### Answer: {output}'.",
        )
    return before, between, after


def prompt_text(template: str, input_text: str) -> str:
    """Everything that the model is shown before it answers. Braces inside the input stay as they are."""
    before, between, _ = split_template(template)
    return before + input_text + between


def encode_prompt(tokenizer: Encoder, template: str, input_text: str) -> list[int]:
    """``<s>`` and the prompt's ids: what generation starts from."""
    return [*tokenizer.bos_ids, *tokenizer.encode(prompt_text(template, input_text))]


def encode_example(tokenizer: Encoder, template: str, input_text: str, output: str) -> tuple[list[int], list[int]]:
    """One instruction row as ids and a loss mask of the same length.

    Prompt and answer are encoded apart, so that the prompt's ids are the same with and without an answer; the mask is
    1 on the answer and on ``</s>``, 0 on the prompt. Rows that are too long are the caller's to drop, never to cut.
    """
    prompt = encode_prompt(tokenizer, template, input_text)
    answer = [*tokenizer.encode(output), tokenizer.eos]
    return prompt + answer, [0] * len(prompt) + [1] * len(answer)
