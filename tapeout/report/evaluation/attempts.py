"""Attempts: every test unit with the answers of all models, and the examples among them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from tapeout.evals.section import Answered, Kind
from tapeout.evals.wording import titles_of

KINDS: tuple[Kind, ...] = ("exact", "near miss", "failure")


@dataclass(frozen=True)
class Attempt:
    """A test unit with the answer of each model that was asked.

    Attributes:
        digest: identifies the unit within its task.
        title: its category in words.
        kind: how good the answer of the judged model is; None if it was not asked.
        turn: place among the units of the same category and kind, from 0, in the order of a hash of their digests.
        answers: what each model answered, at least one of them.
    """

    digest: str
    title: str
    kind: Kind | None
    turn: int
    answers: Mapping[str, Answered]

    @property
    def unit(self) -> Answered:
        """Any of the answers, for what they have in common."""
        return next(iter(self.answers.values()))


@dataclass(frozen=True)
class TaskAttempts:
    """Attempts of one task, those first that show most: the first of each category and kind, then the second.

    Attributes:
        task: name of the task, with its set.
        title: title of the section.
        judged: the model that decides the kinds.
    """

    task: str
    title: str
    judged: str
    attempts: Sequence[Attempt]


@dataclass(frozen=True)
class Example:
    """One question with the expected answer and what each model answered.

    Attributes:
        kind: how good the answer of the shipped model is.
        source: where the question is from, and its licence.
        note: explanation of the expected answer.
        answers: generated text by model.
        kinds: how good each answer is, by model.
        verdicts: how each answer was judged, in words, by model; empty where the answer tells.
    """

    kind: Kind
    source: str
    prompt: str
    expected: str
    note: str
    answers: Mapping[str, str]
    kinds: Mapping[str, Kind]
    verdicts: Mapping[str, str]


@dataclass(frozen=True)
class ExampleGroup:
    """Sample answers of one category.

    Attributes:
        title: the category.
        counts: number of answers of the shipped model by kind, of all that were evaluated.
    """

    title: str
    counts: Mapping[Kind, int]
    examples: Sequence[Example]


def attempts_of(task: str, title: str, judged: str, answered: Mapping[str, Mapping[str, Answered]]) -> TaskAttempts:
    """Return the attempts of a task; neither quality nor position in the data decides their order.

    Args:
        task: name of the task, with its set.
        title: title of its section.
        judged: the model that decides the kinds; one of ``answered``.
        answered: by model, the answers by digest of the unit.
    """
    units: dict[str, dict[str, Answered]] = defaultdict(dict)
    for model, answers in answered.items():
        for digest, one in answers.items():
            units[digest][model] = one
    categories = {digest: next(iter(answers.values())).category for digest, answers in units.items()}
    titles = titles_of(sorted(set(categories.values())))
    turns: Counter[tuple[str, Kind | None]] = Counter()
    attempts = []
    for digest in sorted(units, key=lambda digest: sha256(f"example\n{digest}".encode()).hexdigest()):
        own = units[digest].get(judged)
        key = categories[digest], own.kind if own else None
        attempts.append(Attempt(digest, titles[key[0]], key[1], turns[key], units[digest]))
        turns[key] += 1
    return TaskAttempts(task, title, judged, sorted(attempts, key=_place))


def in_turn(tasks: Sequence[TaskAttempts]) -> Iterator[tuple[TaskAttempts, Attempt]]:
    """Yield the attempts of all tasks, in the order of each: the first of each kind of all tasks come first."""
    found = [(group, one) for group in tasks for one in group.attempts]
    yield from sorted(found, key=lambda entry: entry[1].turn)


def examples_of(group: TaskAttempts, count: int) -> list[ExampleGroup]:
    """Return for each category up to ``count`` answers of each kind of the judged model."""
    by_category: dict[str, list[Attempt]] = defaultdict(list)
    for one in sorted(group.attempts, key=lambda one: (one.unit.category, _rank(one.kind), one.turn)):
        if one.kind is not None:
            by_category[one.title].append(one)
    return [
        ExampleGroup(
            title=title,
            counts={kind: sum(one.kind == kind for one in attempts) for kind in KINDS},
            examples=[_example(one, one.kind) for one in attempts if one.turn < count and one.kind is not None],
        )
        for title, attempts in by_category.items()
    ]


def _place(attempt: Attempt) -> tuple[int, str, int]:
    return attempt.turn, attempt.unit.category, _rank(attempt.kind)


def _rank(kind: Kind | None) -> int:
    return len(KINDS) if kind is None else KINDS.index(kind)


def _example(attempt: Attempt, kind: Kind) -> Example:
    own, answers = attempt.unit, attempt.answers
    return Example(
        kind=kind,
        source=own.source,
        prompt=own.asked,
        expected=own.expected,
        note=own.note,
        answers={model: one.answer for model, one in answers.items()},
        kinds={model: one.kind for model, one in answers.items()},
        verdicts={model: ": ".join(filter(None, (one.label, one.message))) for model, one in answers.items()},
    )
