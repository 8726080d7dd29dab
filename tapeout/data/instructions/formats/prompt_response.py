"""Prompt and response, as Dolly has them and the NeMo SFT guide wants them (faults F36, F37, F38)."""

from collections.abc import Iterable, Iterator

from tapeout.config.imported import PromptResponse, SelfInstruct
from tapeout.data.instructions.fields import filled, items, mapping, string
from tapeout.data.instructions.import_report import Account, BadRow
from tapeout.data.instructions.reading import Record
from tapeout.data.instructions.row import Row
from tapeout.data.instructions.text import CITATION, clean, context_first, digest_of


def prompt_rows(records: Iterable[Record], options: PromptResponse, account: Account) -> Iterator[Row]:
    """Yield a row for each record of instruction, context and response."""
    for record in records:
        account.read["rows"] += 1
        try:
            yield prompt_row(record, options, account)
        except BadRow as error:
            account.bad(error)


def prompt_row(record: Record, options: PromptResponse, account: Account) -> Row:
    """One record as a row.

    Raises:
        BadRow: a field is missing or no text, or instruction or response is empty.
    """
    names = options.fields
    value = mapping(record, record.value, "the row")
    instruction = filled(record, value, names.instruction, "the row")
    context = clean(string(record, value, names.context, "the row")) if names.context else ""
    response = filled(record, value, names.response, "the row")
    category = filled(record, value, names.category, "the row") if names.category else options.category
    if options.strip_citations:
        context, count = CITATION.subn("", context)
        context = clean(context)
        account.changed["citation marks removed"] += count
    digest = digest_of(instruction, context, response, category)
    leads = context_first(options.seed, digest)
    if context:
        account.changed["context first" if leads else "instruction first"] += 1
    text = joined(instruction, context, options.separator, leads)
    question = joined(instruction, context, "\n", leads=False)
    return Row({"input": text, "output": response}, category, digest, question, digest)


def joined(instruction: str, context: str, separator: str, leads: bool) -> str:
    """Instruction and context, in the order that the coin says; the instruction alone if there is no context."""
    if not context:
        return instruction
    return separator.join((context, instruction) if leads else (instruction, context))


def task_rows(records: Iterable[Record], options: SelfInstruct, account: Account) -> Iterator[Row]:
    """Yield a row for each instance of each task of self-instruct."""
    for record in records:
        account.read["tasks"] += 1
        try:
            yield from _instances(record, options, account)
        except BadRow as error:
            account.bad(error)


def _instances(record: Record, options: SelfInstruct, account: Account) -> list[Row]:
    """The rows of one task; a task of which one instance cannot be used cannot be used at all."""
    value = mapping(record, record.value, "the task")
    instruction = filled(record, value, "instruction", "the task")
    category = "classification" if value.get("is_classification") is True else "generation"
    group = digest_of(instruction)
    rows = []
    for each in items(record, value, "instances", "the task"):
        instance = mapping(record, each, "an instance")
        context = clean(string(record, instance, "input", "an instance"))
        output = filled(record, instance, "output", "an instance")
        digest = digest_of(instruction, context, output, category)
        text = joined(instruction, context, options.separator, leads=False)
        rows.append(Row({"input": text, "output": output}, category, group, text, digest))
    if not rows:
        raise record.bad("the task has no instance")
    account.read["instances"] += len(rows)
    return rows
