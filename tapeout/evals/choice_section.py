"""Section of the report on multiple choice: chance, notes, tile, verdict, answers and definitions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from string import ascii_uppercase

from tapeout.evals.choices import MultipleChoice, ScoredQuestion
from tapeout.evals.section import Answered, Comparison, Evidence, Method, Tile, Verdict
from tapeout.evals.wording import MIN_UNITS, interval_of, number, outcome, percent, points

ACCURACY = "multiple_choice.accuracy"
"""Measure that verdicts are based on."""


def chance_of(results: Mapping[str, MultipleChoice]) -> float:
    """Return the expected accuracy of guessing, on the questions that every model was asked."""
    counts = [{one.digest: len(one.question.choices) for one in result.questions} for result in results.values()]
    shared = set.intersection(*map(set, counts))
    return fmean(1 / counts[0][digest] for digest in sorted(shared))


def positions_of(result: MultipleChoice) -> dict[str, float]:
    """Return how often each position was chosen, by its letter, as a fraction of all attempts."""
    counts = Counter(one.chosen(attempt) for one in result.questions for attempt in one.attempts)
    return {ascii_uppercase[index]: counts[index] / counts.total() for index in range(max(counts) + 1)}


def by_seed(result: MultipleChoice) -> dict[str, float]:
    """Return the accuracy of each seed."""
    seeds = [attempt.seed for attempt in result.questions[0].attempts]
    return {
        str(seed): fmean(one.chosen(one.attempts[index]) == one.question.answer for one in result.questions)
        for index, seed in enumerate(seeds)
    }


def mean_shots(result: MultipleChoice) -> float:
    """Return the mean number of examples in the prompts."""
    return fmean(attempt.shots for one in result.questions for attempt in one.attempts)


def strata_of(comparisons: Mapping[str, Comparison], measure: str) -> list[str]:
    """Return the strata that a measure was compared by, in their order."""
    begin = f"{measure}."
    return [name.removeprefix(begin) for name in comparisons if name.startswith(begin)]


def notes_of(results: Mapping[str, MultipleChoice]) -> list[str]:
    """Return sentences on examples in the prompts, seeds, positions and questions that were left out."""
    listed = {
        "Mean number of examples that fit into the context": [
            f"{mean_shots(result):.1f}" for result in results.values()
        ],
        "Lowest and highest accuracy of a seed": [
            f"{percent(min(seeds.values()))} and {percent(max(seeds.values()))}"
            for seeds in map(by_seed, results.values())
        ],
        "Most frequently chosen position": [
            f"{letter} ({percent(share, 0)})"
            for letter, share in (
                max(positions_of(result).items(), key=lambda item: item[1]) for result in results.values()
            )
        ],
        "Questions that do not fit into the context": [str(result.left_out) for result in results.values()],
    }
    return [
        f"{what}: {', '.join(f'{model} {value}' for model, value in zip(results, values, strict=True))}."
        for what, values in listed.items()
    ]


def below_chance(results: Mapping[str, MultipleChoice], comparison: Comparison, chance: float) -> list[str]:
    """Return which models are below chance with the whole interval, and what they seem to go by."""
    return [
        f"Accuracy of {model} is below chance with the whole interval. The likely reason: a model that guesses goes by "
        f"the form of the choices. It takes {_preference(results[model])}."
        for model, value in comparison.values.items()
        if value.high < chance
    ]


def _preference(result: MultipleChoice) -> str:
    """Return how often the shortest text, or the favourite letter, was chosen, and how often that was right."""
    favourite = max(positions_of(result).items(), key=lambda item: item[1])[0]
    taken = []
    for one in result.questions:
        lengths = [len(choice) for choice in one.question.choices]
        for chosen in map(one.chosen, one.attempts):
            by_form = (
                lengths[chosen] == min(lengths) if result.scoring == "text" else ascii_uppercase[chosen] == favourite
            )
            taken.append((by_form, chosen == one.question.answer))
    right = [is_right for by_form, is_right in taken if by_form]
    what = "the shortest choice" if result.scoring == "text" else f"the letter {favourite}"
    hits = f", and is right in {percent(fmean(right), 0)} of these" if right else ""
    return f"{what} in {percent(len(right) / len(taken), 0)} of its attempts{hits}"


def tiles_of(evidence: Evidence[MultipleChoice], chance: float) -> list[Tile]:
    """Return the accuracy of the shipped model, beside chance."""
    model, comparison = evidence.adapted.shipped, evidence.comparisons[ACCURACY]
    if model is None:
        return []
    return [
        Tile(
            f"Multiple choice, {model}",
            percent(comparison.values[model].value),
            f"{percent(evidence.confidence, 0)} interval {interval_of(comparison, model)}, "
            f"{comparison.units} questions, chance {percent(chance, 0)}",
        )
    ]


def verdicts_of(evidence: Evidence[MultipleChoice], chance: float) -> list[Verdict]:
    """Answer whether the shipped model knows more than the base model; nothing if neither differs from chance.

    Differences between models that guess say nothing about what they know.
    """
    adapted, comparison = evidence.adapted, evidence.comparisons[ACCURACY]
    base, shipped = adapted.base, adapted.shipped
    if base is None or shipped is None or (base, shipped) not in comparison.changes or comparison.units < MIN_UNITS:
        return []
    if all(comparison.values[model].low <= chance for model in (base, shipped)):
        return []
    change = comparison.changes[base, shipped]
    reached = outcome(comparison, change)
    begin = {
        "good": f"Yes, {adapted.subject} knows more",
        "open": f"It is open whether {adapted.subject} knows more",
        "bad": f"No, {adapted.subject} knows less",
    }[reached]
    values = " and ".join(f"{percent(comparison.values[model].value)} ({model})" for model in (base, shipped))
    return [
        Verdict(
            "Multiple choice",
            reached,
            f"{begin}: {values} of {comparison.units} questions, chance {percent(chance, 0)}; difference "
            f"{points(change.value)} ({percent(evidence.confidence, 0)} interval {points(change.low, unit=False)} to "
            f"{points(change.high)}).",
            (ACCURACY,),
        )
    ]


def answered(one: ScoredQuestion) -> Answered:
    """Return a question with the choice after the examples of the first seed."""
    own, first = one.question, one.attempts[0]
    chosen = one.chosen(first)
    return Answered(
        asked=own.block("letter"),
        expected=_named(own.choices, own.answer),
        answer=_named(own.choices, chosen),
        kind="exact" if chosen == own.answer else "failure",
        category=own.area,
        source=" ".join(filter(None, (own.id, own.difficulty))),
        note=own.explanation,
        facts={
            "log-likelihoods": ", ".join(
                f"{ascii_uppercase[index]} {number(value, 1)}" for index, value in enumerate(first.log_likelihoods)
            ),
            "right after the examples of": f"{_right(one)} of {len(one.attempts)} seeds",
        },
    )


def _right(one: ScoredQuestion) -> int:
    return sum(one.chosen(attempt) == one.question.answer for attempt in one.attempts)


def _named(choices: Sequence[str], index: int) -> str:
    return f"{ascii_uppercase[index]}. {choices[index]}"


METHODS = (
    Method(
        "Multiple choice",
        "The prompt has a number of other questions with their right answers, then the question. The answer of a model "
        "is the choice with the highest log-likelihood, given the prompt: of its text, or of its letter if "
        "evaluation.tasks.multiple_choice.scoring is letter. A question is right if that choice is; accuracy is acc of "
        "lm-eval. Normalized by length, log-likelihoods are divided by the number of characters of the choice, as for "
        "acc_norm of lm-eval.",
        "log-likelihood = ∑ ln p(token of the choice | prompt, choice so far)",
        "Each question is asked once for each seed, after other examples, which are chosen by hashes of seed and "
        "questions and never contain the question; its score is the mean over seeds. Of the examples, those nearest to "
        "the question are kept, as many as fit into the context with the longest choice. Questions that do not fit "
        "without examples are left out for all models. Prompts are plain text for every model, without a prompt "
        "template. Attempts show the first seed.",
    ),
    Method(
        "Verdict on multiple choice",
        "The difference in accuracy between the base model and the exported model, by its corrected p-value, if at "
        "least one of the two is above chance with its whole interval; otherwise there is none, because differences "
        f"between guesses mean nothing. Fewer than {MIN_UNITS} questions give no verdict.",
    ),
)
