"""The prompt template, and single questions as token ids with a loss mask."""

from tapeout.data.errors import InvalidTemplate
from tapeout.encoder.interface import Encoder

TEMPLATE_FILE = "prompt_template.json"
"""File in the folder of a fine-tuned model with its template, as ``{"template": ...}``."""


def split_template(template: str) -> tuple[str, str, str]:
    """Return the text before ``{input}``, between ``{input}`` and ``{output}``, and after ``{output}``.

    Raises:
        InvalidTemplate: a field is missing, repeated or in the wrong order, or text follows the output.
    """
    before, field, rest = template.partition("{input}")
    between, found_output, after = rest.partition("{output}")
    if not field or not found_output or "{input}" in rest or "{output}" in before + after or after:
        raise InvalidTemplate(
            f"The template {template!r} needs one {{input}}, then one {{output}} at its end.",
            "Write it like '{input}\\n### Answer: {output}'.",
        )
    return before, between, after


def prompt_text(template: str, input_text: str) -> str:
    """Return everything that the model sees before it answers. Braces inside the input stay as they are."""
    before, between, _ = split_template(template)
    return before + input_text + between


def encode_prompt(encoder: Encoder, template: str, input_text: str) -> list[int]:
    """Return the ids from which generation starts: the beginning of a sequence and the prompt."""
    return [*encoder.bos_ids, *encoder.encode(prompt_text(template, input_text))]


def encode_example(encoder: Encoder, template: str, input_text: str, output: str) -> tuple[list[int], list[int]]:
    """Return a question and its answer as ids, and a loss mask of the same length.

    Prompt and answer are encoded separately, so the ids of the prompt are the same with and without an answer. The
    mask is 1 on the answer and the end of the sequence, 0 on the prompt. The caller drops rows that are too long; it
    never truncates them.
    """
    prompt = encode_prompt(encoder, template, input_text)
    answer = [*encoder.encode(output), encoder.eos]
    return prompt + answer, [0] * len(prompt) + [1] * len(answer)
