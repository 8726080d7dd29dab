"""Sample answers of the evaluation report: exact ones, near misses and failures of each category."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256

from tapeout.evals.answers import Answer, InstructionAnswers
from tapeout.evals.section import Example, ExampleGroup, Kind

NEAR = 0.5
"""Minimum ROUGE-L of an answer that is not exact but a near miss."""
KINDS: tuple[Kind, ...] = ("exact", "near miss", "failure")


def titles_of(categories: Iterable[str]) -> dict[str, str]:
    """Return the titles of categories: their names as words, or as they are where two would have the same title."""
    words = {name: name.replace("_", " ") for name in categories}
    counts = Counter(words.values())
    return {name: title if counts[title] == 1 else name for name, title in words.items()}


def kind_of(answer: Answer) -> Kind:
    """Return how good an answer is."""
    return "exact" if answer.exact else "near miss" if answer.rouge_l >= NEAR else "failure"


def examples_of(results: Mapping[str, InstructionAnswers], judged: str, count: int) -> list[ExampleGroup]:
    """Return for each category up to ``count`` exact answers, near misses and failures of the judged model.

    Questions are taken in the order of a hash of their digests, so that neither quality nor position decides.
    """
    by_model = {model: {answer.digest: answer for answer in result.answers} for model, result in results.items()}
    shared = set.intersection(*(set(answers) for answers in by_model.values()))
    groups: dict[str, dict[Kind, list[str]]] = {}
    for digest in sorted(shared, key=lambda digest: sha256(f"example\n{digest}".encode()).hexdigest()):
        own = by_model[judged][digest]
        groups.setdefault(own.category, {kind: [] for kind in KINDS})[kind_of(own)].append(digest)
    titles = titles_of(groups)
    return [
        ExampleGroup(
            title=titles[category],
            counts={kind: len(digests) for kind, digests in kinds.items()},
            examples=[
                _example({model: answers[digest] for model, answers in by_model.items()}, judged)
                for digests in kinds.values()
                for digest in digests[:count]
            ],
        )
        for category, kinds in sorted(groups.items())
    ]


def _example(answers: Mapping[str, Answer], judged: str) -> Example:
    own = answers[judged]
    return Example(
        kind=kind_of(own),
        source=f"{own.source}, licence {own.licence}" if own.licence else own.source,
        prompt=own.prompt,
        expected=own.expected,
        answers={model: answer.generated for model, answer in answers.items()},
        kinds={model: kind_of(answer) for model, answer in answers.items()},
    )
