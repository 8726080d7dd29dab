"""Questions about paragraphs: SQuAD v1.1, v2.0 and XQuAD as prompt and answer (faults F69, F71).

The prompt comes from a template file byte for byte. A row says where in its input the context stands, and where in it
the answer: so a prompt that is too long can be made shorter without losing either the question or the answer.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tapeout.config.imported import Squad
from tapeout.data.instructions.fields import filled, items, mapping, member, string
from tapeout.data.instructions.import_report import Account, BadRow
from tapeout.data.instructions.reading import Record
from tapeout.data.instructions.row import Row
from tapeout.data.instructions.text import digest_of
from tapeout.errors import TapeoutError


class BadQuestionTemplate(TapeoutError):
    """A template file without exactly one {context} and one {question}."""

    def __init__(self, template: str) -> None:
        super().__init__(
            f"The template {template[:80]!r} needs {{context}} once and {{question}} once.",
            "Correct the file that the option template of the source names.",
        )


def squad_rows(records: Iterable[Record], options: Squad, template: str, account: Account) -> Iterator[Row]:
    """Yield a row for each question.

    Raises:
        BadQuestionTemplate: the template has not each field once.
    """
    if template.count("{context}") != 1 or template.count("{question}") != 1:
        raise BadQuestionTemplate(template)
    for record in records:
        try:
            questions = list(_questions(record, account))
        except BadRow as error:
            account.bad(error)
            continue
        for group, context, question in questions:
            account.read["questions"] += 1
            try:
                row = _row(record, group, context, question, options, template, account)
            except BadRow as error:
                account.bad(error)
                continue
            if row is not None:
                yield row


def _questions(record: Record, account: Account) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Group, context and question of everything that a record holds: a whole file, or one flat row."""
    value = mapping(record, record.value, "the record")
    if "data" not in value:
        context = string(record, value, "context", "the row")
        title = value.get("title")
        yield digest_of(context) if title is None or title == "" else title, context, value
        return
    for each in items(record, value, "data", "the file"):
        article = mapping(record, each, "an article")
        account.read["articles"] += 1
        title = filled(record, article, "title", "an article")
        for part in items(record, article, "paragraphs", "an article"):
            paragraph = mapping(record, part, "a paragraph")
            account.read["paragraphs"] += 1
            context = string(record, paragraph, "context", "a paragraph")
            for question in items(record, paragraph, "qas", "a paragraph"):
                yield title, context, mapping(record, question, "a question")


def _row(
    record: Record,
    group: str,
    context: str,
    value: Mapping[str, Any],
    options: Squad,
    template: str,
    account: Account,
) -> Row | None:
    question = filled(record, value, "question", "a question")
    if not context.strip():
        raise record.bad("a paragraph is empty")
    if not isinstance(group, str):
        raise record.bad("field 'title' of the row is no text", type(group).__name__)
    answers = _answers(record, value)
    if not answers:
        if options.impossible == "drop":
            account.drop("question without answer", f"{record.file}, question {value.get('id')}")
            return None
        answers = [(options.impossible_answer, None)]
    texts = {text for text, _ in answers}
    if len(texts) > 1:
        account.read["questions with several answers, of which the first counts"] += 1
    text, start = answers[0]
    if start is not None and context[start : start + len(text)] != text:
        raise record.bad("the answer is not where it should be in the context", question[:60])
    prompt, begin = rendered(template, context, question)
    where = None if start is None else [begin + start, begin + start + len(text)]
    content = {"input": prompt, "output": text.strip(), "context": [begin, begin + len(context)], "answer": where}
    category = "impossible" if start is None else "question_answering"
    return Row(content, category, group, f"{question}\n{context}", digest_of(context, question, text, category))


def rendered(template: str, context: str, question: str) -> tuple[str, int]:
    """The template with both fields filled in, whatever braces they hold, and where in it the context begins."""
    first, second = sorted(("{context}", "{question}"), key=template.index)
    fields = {"{context}": context, "{question}": question}
    before, _, rest = template.partition(first)
    between, _, after = rest.partition(second)
    start = len(before) if first == "{context}" else len(before) + len(question) + len(between)
    return before + fields[first] + between + fields[second] + after, start


def _answers(record: Record, value: Mapping[str, Any]) -> list[tuple[str, int | None]]:
    """Texts and places of the answers, from a list of objects or, in flat rows, an object of lists."""
    found = member(record, value, "answers", "a question")
    if isinstance(found, dict):
        texts, starts = (items(record, found, name, "the answers") for name in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise record.bad("answers have as many texts as places", f"{len(texts)} and {len(starts)}")
        found = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(found, list):
        raise record.bad("field 'answers' of a question is no list", type(found).__name__)
    impossible = value.get("is_impossible")
    if not isinstance(impossible, bool | None) or (impossible and found):
        raise record.bad("is_impossible and the answers contradict each other")
    answers: list[tuple[str, int | None]] = []
    for each in found:
        answer = mapping(record, each, "an answer")
        text, start = string(record, answer, "text", "an answer"), member(record, answer, "answer_start", "an answer")
        if isinstance(start, bool) or not isinstance(start, int) or start < 0:
            raise record.bad("field 'answer_start' of an answer is no place", repr(start))
        if not text.strip():
            raise record.bad("field 'text' of an answer is empty")
        answers.append((text, start))
    return answers
