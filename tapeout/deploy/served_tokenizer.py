"""Write the tokenizer files of an exported model: tokenizer.json, chat templates, and where an answer ends."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.export import PromptsJob
from tapeout.data.encode.chat import MARKS, ChatTemplate
from tapeout.data.encode.prompt import split_template
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.models.chat_template import guarded_template, marked_template, own_template, question_template
from tapeout.models.family import Family


def write_tokenizer(
    tokenizer: Path, output: Path, family: Family, job: PromptsJob, shapes: Sequence[str], context: int
) -> None:
    """Write the tokenizer's files, always tokenizer.json, and tokenizer_config.json with a chat template per shape.

    If there are several templates, the first is the default, and a request selects another by the name of its shape.
    The tokenizer class is ``PreTrainedTokenizerFast``, because newer versions of transformers rebuild the tokenizer of
    a more specific class from its pieces.

    Args:
        tokenizer: the tokenizer's file.
        output: folder of the exported model.
        family: the model's family.
        job: prompt encoding used in training.
        shapes: kinds of the rows that the model was trained on, at least one.
        context: maximum sequence length in tokens.
    """
    for path in sorted(output.glob("*token*")):
        path.unlink()
    encoder = load_encoder(tokenizer)
    templates = {shape: template_of(shape, encoder, job) for shape in shapes}
    default, *others = dict.fromkeys(templates.values())
    named = [{"name": name, "template": text} for name, text in {"default": default, **templates}.items()]
    sentencepiece = {
        **family.tokenizer_config(),
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],  # models do not take token_type_ids
        "legacy": True,  # read by LlamaTokenizer only: add a word mark after each special piece
    }
    settings = {
        **encoder.model_settings(sentencepiece),
        "add_bos_token": bool(encoder.bos_ids),
        "model_max_length": context,
        "chat_template": named if others else default,
    }
    files = encoder.model_files()
    for name, content in files.items():
        (output / name).write_bytes(content)
    if "tokenizer.json" not in files:
        (output / "tokenizer.json").write_text(fast_tokenizer(tokenizer.read_bytes()), encoding="utf-8")
    write_settings(output / "tokenizer_config.json", settings)


def template_of(shape: str, encoder: Encoder, job: PromptsJob) -> str:
    """Return the chat template for rows of a shape."""
    reserved = encoder.reserved_names
    if job.encoding.prompt.for_questions:
        return guarded_template(job.encoding.chat_template or "", reserved)
    if shape != "conversation":
        before, between, _ = split_template(job.encoding.template) if shape == "question" else ("", "", "")
        return question_template(before, between, reserved, bool(encoder.bos_ids))
    system = job.systems[0] if len(job.systems) == 1 else None
    if job.encoding.prompt.tokens != "template":
        return marked_template(MARKS[job.encoding.prompt.tokens], system, reserved)
    template = ChatTemplate.of(job.encoding.chat_template or "", encoder)
    return own_template(template.source, system, sorted({*reserved, *template.marks}))


def write_settings(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file of a Hugging Face folder."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def ends_of_answers(encoder: Encoder, job: PromptsJob, shapes: Sequence[str]) -> dict[str, int | str]:
    """Return how an answer of each shape ends in training: the id of a token, or a text of several tokens."""
    ends: dict[str, int | str] = dict.fromkeys(shapes, encoder.eos)
    if "conversation" in shapes:
        ends["conversation"] = _end_of_turn(encoder, job)
    return dict.fromkeys(shapes, _end_of_turn(encoder, job)) if job.encoding.prompt.for_questions else ends


def _end_of_turn(encoder: Encoder, job: PromptsJob) -> int | str:
    """Return the end of an answer in a conversation: the id of a token, or the text of a mark."""
    if job.encoding.prompt.tokens == "template":
        template = ChatTemplate.of(job.encoding.chat_template or "", encoder)
        end = template.end_of_answer("" if job.encoding.prompt.for_questions else next(iter(job.systems), ""))
        controls = [token for token, _, _ in encoder.encode_rendered(end) if token in encoder.control_pieces.values()]
        return controls[0] if controls else end
    end = MARKS[job.encoding.prompt.tokens].turn
    if end in encoder.control_pieces:
        return encoder.control_pieces[end]
    tokens = encoder.encode("answer" + end)[len(encoder.encode("answer")) :]
    return tokens[0] if len(tokens) == 1 else end


def stop_settings(ends: Mapping[str, int | str], eos: int) -> dict[str, Any]:
    """Return the stop settings of generation_config.json: end tokens and stop strings, as answers end in training."""
    ids = sorted({end for end in ends.values() if isinstance(end, int)}) or [eos]
    texts = sorted({end for end in ends.values() if isinstance(end, str) and end})
    return {"eos_token_id": ids[0] if len(ids) == 1 else ids, **({"stop_strings": texts} if texts else {})}
