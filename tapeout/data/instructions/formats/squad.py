"""Questions about paragraphs: SQuAD v1.1, v2.0 and XQuAD as prompt and answer.

The prompt comes from a template file byte for byte. A row states where in its input the context is, and where in it the
answer, so that a prompt that is too long can be shortened without losing the question or the answer. The first of
several answers is trained on; the evaluation accepts each of them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from tapeout.config.corpus import Corpus
from tapeout.config.instructions import FormatOptions
from tapeout.data.errors import BadRow, InvalidTemplate
from tapeout.data.instructions.fields import METADATA, Fields, folded, licence_of
from tapeout.data.instructions.record import CleanText, FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import MAX_NAME_CHARACTERS, ImportReport
from tapeout.data.instructions.row import Row, digest_of

CONTEXT, QUESTION = "{context}", "{question}"


class Options(FormatOptions):
    """Questions about paragraphs: SQuAD v1.1 and v2.0, XQuAD; JSON as published, or flat rows (JSONL, parquet).

    An article is a group.
    """

    format: Literal["squad"] = Field(description="Name of this format.")
    template: str = Field(
        "config/templates/alpaca_squad.txt",
        description="File of the prompt, with {context} and {question}; the answer follows its last byte.",
    )
    impossible: Literal["drop", "answer"] = Field(
        "drop", description="A question without an answer: dropped and counted, or answered with impossible_answer."
    )
    impossible_answer: str = Field(
        "The context does not say.", pattern=r"\S", description="Answer to a question that has none."
    )

    def resolved(self, name: str, corpus: Corpus) -> Self:
        """Replace the path of the template by its text, because the rows depend on the text."""
        try:
            text = Path(self.template).read_bytes().decode("utf-8-sig")  # line ends as they are
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidTemplate(
                f"The template file {self.template} of the set {name} cannot be read: {error}.",
                f"Correct instructions.sets.{name}.template.",
            ) from error
        return super().resolved(name, corpus).model_copy(update={"template": text})


class Answer(RecordModel):
    """An answer and the index of its first character in the context."""

    text: Text
    answer_start: Annotated[int, Field(ge=0)]

    @field_validator("text")
    @classmethod
    def _not_empty(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty")
        return text


class AnswerLists(RecordModel):
    """Answers as flat rows have them: lists of texts and indices."""

    text: list[Any]
    answer_start: list[Any]


class Question(RecordModel):
    """A question; its answers are a list of objects or, in flat rows, an object of lists."""

    id: Any = None
    question: FilledText
    answers: list[Answer]
    is_impossible: bool | None = None

    @field_validator("answers", mode="before")
    @classmethod
    def _as_list(cls, answers: Any) -> Any:
        if not isinstance(answers, dict):
            return answers
        lists = AnswerLists.model_validate(answers)
        if len(lists.text) != len(lists.answer_start):
            raise ValueError("has a different number of texts than of starts")
        pairs = zip(lists.text, lists.answer_start, strict=True)
        return [{"text": text, "answer_start": start} for text, start in pairs]


class Paragraph(RecordModel):
    """A paragraph; its questions are validated one by one."""

    context: Text
    qas: list[dict[str, Any]]


class Article(RecordModel):
    """An article."""

    title: FilledText
    paragraphs: list[Paragraph]


class Published(RecordModel):
    """A whole file as published."""

    data: list[Article]


class Flat(RecordModel):
    """Fields of a flat row besides those of its question."""

    context: Text
    title: CleanText | None = None


QUESTION_FIELDS = ("id", "question", "answers", "is_impossible")
QUESTION_METADATA = METADATA | folded("plausible_answers answer_category")
FLAT = Fields("the row", ("context", "title", *QUESTION_FIELDS), metadata=QUESTION_METADATA)
FILE = Fields("the file", ("data",))
ARTICLE = Fields("an article", ("title", "paragraphs"), prefix="data.")
PARAGRAPH = Fields("a paragraph", ("context", "qas"), prefix="paragraphs.")
IN_PARAGRAPH = Fields("the question", QUESTION_FIELDS, metadata=QUESTION_METADATA, prefix="qas.")


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each question.

    Raises:
        InvalidTemplate: the template does not have each field exactly once.
        BadRow: as ``report.reject``.
    """
    if options.template.count(CONTEXT) != 1 or options.template.count(QUESTION) != 1:
        raise InvalidTemplate(
            f"The template {options.template[:80]!r} needs {CONTEXT} once and {QUESTION} once.",
            "Correct the file that the option template of the set names.",
        )
    for record in records:
        try:
            questions = list(_questions(record, options, report))
        except BadRow as error:
            report.reject(error)
            continue
        for title, context, value in questions:
            report.read["questions"] += 1
            try:
                row = _row(record, title, context, value, options, report)
            except BadRow as error:
                report.reject(error)
                continue
            if row is not None:
                yield row


def _questions(
    record: Record, options: Options, report: ImportReport
) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """Yield title, context and question for everything in a record: a whole file, or one flat row."""
    if not isinstance(record.value, dict) or "data" not in record.value:
        value = FLAT.select(record, record.value, options, report)
        flat = record.parse(Flat, value)
        yield flat.title, flat.context, value
        return
    articles = record.parse(Published, what="the file").data
    FILE.select(record, record.value, options, report)
    for value in record.value["data"]:
        ARTICLE.select(record, value, options, report)
        for paragraph in value["paragraphs"]:
            PARAGRAPH.select(record, paragraph, options, report)
    report.read["articles"] += len(articles)
    for article in articles:
        report.read["paragraphs"] += len(article.paragraphs)
        for paragraph in article.paragraphs:
            for value in paragraph.qas:
                yield article.title, paragraph.context, IN_PARAGRAPH.select(record, value, options, report)


def _row(
    record: Record, title: str | None, context: str, value: dict[str, Any], options: Options, report: ImportReport
) -> Row | None:
    """Return the row of a question, or None if the options drop it."""
    question = record.parse(Question, value, "the question")
    if not context.strip():
        raise record.bad("the context is empty")
    answers = question.answers
    if question.is_impossible and answers:
        raise record.bad("is_impossible and the answers contradict each other")
    if not answers and options.impossible == "drop":
        report.drop("question without answer", f"{record.location}, question {question.id!r:.{MAX_NAME_CHARACTERS}}")
        return None
    accepted = list(dict.fromkeys(unix_lines(answer.text).strip() for answer in answers))
    if len(accepted) > 1:
        report.read["questions with several answers, of which the first is trained on"] += 1
    text, start = (answers[0].text, answers[0].answer_start) if answers else (options.impossible_answer, None)
    if start is not None and context[start : start + len(text)] != text:
        raise record.bad("the answer is not at its answer_start in the context", question.question[:60])
    if start is not None:
        start = len(unix_lines(context[:start]))
    context, text = unix_lines(context), unix_lines(text)
    prompt, begin = rendered(options.template, context, question.question)
    span = None if start is None else [begin + start, begin + start + len(text)]
    content: dict[str, Any] = {
        "input": prompt,
        "output": text.strip(),
        "context": [begin, begin + len(context)],
        "answer": span,
    }
    if len(accepted) > 1:
        content["accepted"] = accepted
    category = "impossible" if start is None else "question_answering"
    digest = digest_of(context, question.question, text, category)
    about = f"{question.question}\n{context}"
    group, licence = title or digest_of(context), licence_of(record, options)
    return Row(content, category, group, about, digest, record.source, licence)


def unix_lines(text: str) -> str:
    """Return the text with Unix line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def rendered(template: str, context: str, question: str) -> tuple[str, int]:
    """Fill in both fields of the template, keeping their braces; return the prompt and the start of the context."""
    first, second = sorted((CONTEXT, QUESTION), key=template.index)
    fields = {CONTEXT: context, QUESTION: question}
    before, _, rest = template.partition(first)
    between, _, after = rest.partition(second)
    start = len(before) if first == CONTEXT else len(before) + len(question) + len(between)
    return before + fields[first] + between + fields[second] + after, start
