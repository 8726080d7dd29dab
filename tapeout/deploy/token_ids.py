"""Check that the tokenizer of an exported model gives the token ids of the training."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from tapeout.config.instructions import SPLITS, EncodeJob
from tapeout.data.encode.chat import LABELLED, is_trained
from tapeout.data.encode.row_encoder import RowEncoder
from tapeout.data.io.jsonl import read_jsonl, read_texts
from tapeout.encoder.load import load_encoder
from tapeout.nemo.convert import ConversionMismatch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

Row = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""A row to check: its location, its content, and its encoding."""
SHAPES = ("conversation", "question", "prompt")
"""Kinds of rows: several turns, a question for the prompt template, a complete prompt. Each has its chat template."""


def shape_of(row: Mapping[str, Any]) -> str:
    """Return the kind of a row of an instruction data set."""
    if "conversations" in row:
        return "conversation"
    return "prompt" if row.get("context") else "question"


def read_sets(sets: Sequence[tuple[Path, Path]]) -> tuple[list[str], list[Row]]:
    """Read the rows that a model was trained on, and the held-out rows in the same form.

    Args:
        sets: folders ``instructions/<set>`` and ``encoded/<set>`` of each set.

    Returns:
        the shapes of all rows, in the order of ``SHAPES``; and the rows to check, each with its location, content and
        encoding: the validation and test rows of each set, or its training rows if it has no others.
    """
    shapes: set[str] = set()
    checked = []
    for rows, encoded in sets:
        pairs: dict[str, list[Row]] = {}
        for split in SPLITS:
            contents = {row["digest"]: row for row in read_jsonl(rows / f"{split}.jsonl", ("digest",))}
            lines = enumerate(read_jsonl(encoded / f"{split}.jsonl", ("digest",)), start=1)
            pairs[split] = [
                (f"encoded/{encoded.name}/{split}.jsonl:{number}", contents[line["digest"]], line)
                for number, line in lines
            ]
            shapes |= {shape_of(content) for _, content, _ in pairs[split]}
        checked += [pair for split in SPLITS if split != "train" for pair in pairs[split]] or pairs["train"]
    return [shape for shape in SHAPES if shape in shapes], checked


def check_texts(folder: Path, texts: Sequence[Path]) -> Counter[str]:
    """Check that the exported tokenizer encodes corpus texts to the same ids as in training.

    Returns:
        number of compared texts, and of skipped texts with a reserved name, which a server encodes as one token.

    Raises:
        ConversionMismatch: a text has other ids; the message names the first.
    """
    encoder, tokenizer = load_encoder(folder), load_tokenizer(folder)
    reserved, counts = encoder.reserved_names, Counter(texts=0, texts_with_reserved_names=0)
    for path in texts:
        contents = read_texts(path)
        served = tokenizer.backend_tokenizer.encode_batch(contents, add_special_tokens=False)
        trained = encoder.encode_batch(contents)
        for number, (text, one, other) in enumerate(zip(contents, served, trained, strict=True), start=1):
            if any(name in text for name in reserved):
                counts["texts_with_reserved_names"] += 1
                continue
            _compare(one.ids, other, f"corpus/{path.parent.name}/{path.name}:{number}")
            counts["texts"] += 1
    return counts


def check_prompts(
    folder: Path,
    rows: Sequence[Row],
    ends: Mapping[str, int | str],
    encoding: EncodeJob,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
) -> Counter[str]:
    """Check that the chat template renders the prompts of rows to the ids used in training.

    A conversation gives one prompt for each answer: everything before that answer.

    Args:
        folder: the exported model.
        rows: see ``read_sets``.
        ends: see ``ends_of_answers``.
        encoding: how the rows were encoded.
        tokenizer: a tokenizer of the folder; None for the one that ``AutoTokenizer`` loads.

    Returns:
        number of compared prompts, and of skipped prompts with a reserved name, which the template rejects.

    Raises:
        ConversionMismatch: a prompt has other ids, or an answer lacks its end token; the message names the first row.
    """
    encoder, tokenizer = load_encoder(folder), tokenizer or load_tokenizer(folder)
    several = isinstance(tokenizer.chat_template, dict)
    row_encoder = RowEncoder(encoder, encoding)
    reserved, counts = encoder.reserved_names, Counter(prompts=0, prompts_with_reserved_names=0)
    for place, row, encoded in rows:
        shape, ids = shape_of(row), encoded["ids"]
        answers = list(_answers(encoded["mask"]))
        prompts = list(prompts_of(row, row_encoder))
        for (start, end), (messages, label) in zip(answers, prompts, strict=False):
            texts = [*(message["content"] for message in messages), *(message.get("label", "") for message in messages)]
            if any(name in text for name in reserved for text in (*texts, label or "")):
                counts["prompts_with_reserved_names"] += 1
                continue
            name = {"chat_template": shape} if several else {}
            try:
                served = tokenizer.apply_chat_template(
                    messages, **name, add_generation_prompt=True, return_dict=False, label=label
                )
            except TemplateError as error:
                raise ConversionMismatch(
                    f"The chat template refuses {place}, which was trained on: {error}", "Report it with the row."
                ) from error
            _compare(served, ids[:start], place)
            if ends[shape] not in ids[start:end] and not isinstance(ends[shape], str):
                raise ConversionMismatch(
                    f"An answer in {place} has no token that ends it.", "Choose a chat template that ends answers."
                )
            counts["prompts"] += 1
    return counts


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer that transformers loads from a folder."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
    return tokenizer


def load_tokenizers(folder: Path) -> dict[str, "PreTrainedTokenizerBase"]:
    """Return the tokenizers that transformers may load from a folder, by kind of implementation.

    The slow one of transformers 4 reads the SentencePiece model, where there is one. Later versions have no second
    implementation; ``use_fast=False`` is then what a program that asks for the slow one gets.
    """
    import transformers
    from transformers import AutoTokenizer, LlamaTokenizer

    separate = transformers.__version__.startswith("4.") and (folder / "tokenizer.model").is_file()
    slow = LlamaTokenizer.from_pretrained(folder) if separate else AutoTokenizer.from_pretrained(folder, use_fast=False)
    return {"fast": load_tokenizer(folder), "slow": slow}


def check_tokenizers(
    folder: Path, rows: Sequence[Row], texts: Sequence[Path], ends: Mapping[str, int | str], encoding: EncodeJob
) -> dict[str, dict[str, int]]:
    """Run ``check_prompts`` for each tokenizer of ``load_tokenizers``, and ``check_texts`` for the fast one.

    Returns:
        the counts of both, by kind of tokenizer.

    Raises:
        ConversionMismatch: see ``check_prompts``.
    """
    counts = {
        kind: dict(check_prompts(folder, rows, ends, encoding, tokenizer))
        for kind, tokenizer in load_tokenizers(folder).items()
    }
    counts["fast"] |= check_texts(folder, texts)
    return counts


def _answers(mask: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield start and end index (exclusive) of each run of consecutive tokens that count in the loss."""
    edges = [index for index, (before, after) in enumerate(pairwise([0, *mask, 0])) if before != after]
    yield from zip(edges[::2], edges[1::2], strict=True)


def prompts_of(row: Mapping[str, Any], encoder: RowEncoder) -> Iterator[tuple[list[dict[str, str]], str | None]]:
    """Yield, for each answer that is trained on, the messages before it and its label."""
    if shape_of(row) != "conversation":  # the encoding may have shortened the context of the row
        yield [{"role": "user", "content": encoder.fitted_question(row)[0]}], None
    else:
        # a base model's own template may add a system message where there is none
        stated = row["system"] or not encoder.job.prompt.for_questions
        messages = [{"role": "system", "content": row["system"]}] if stated else []
        for number, turn in enumerate(row["conversations"]):
            label = turn.get("label") if row.get("type") == LABELLED else None
            if turn["from"] != row["mask"] and number and is_trained(turn):
                yield list(messages), label
            role = "user" if turn["from"] == row["mask"] else "assistant"
            messages.append({"role": role, "content": turn["value"], **({"label": label} if label else {})})


def _compare(served: Sequence[int], trained: Sequence[int], place: str) -> None:
    if list(served) != list(trained):
        pairs = enumerate(zip(served, trained, strict=False))
        index = next((index for index, (a, b) in pairs if a != b), min(len(served), len(trained)))
        raise ConversionMismatch(
            f"A server would encode {place} differently from the training: {_at(served, index)} instead of "
            f"{_at(trained, index)} as token {index}.",
            "End the prompt template where a token ends and keep reserved names out of it, or use another tokenizer.",
        )


def _at(ids: Sequence[int], index: int) -> str:
    return str(ids[index]) if index < len(ids) else "nothing"
