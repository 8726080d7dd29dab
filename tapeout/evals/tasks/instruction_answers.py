"""Held-out questions of an instruction set: generated answers, and the loss of the expected answers."""

from collections.abc import Iterable, Mapping
from math import log
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from tapeout import progress
from tapeout.data.errors import NotEnoughData
from tapeout.evals.advice import forgetting
from tapeout.evals.answer_methods import MAX_EXACT_WORDS, METHODS, MOSTLY, NEAR
from tapeout.evals.answers import (
    Answer,
    InstructionAnswers,
    Options,
    TurnScore,
    answer_questions,
    score_answers,
    score_turns,
)
from tapeout.evals.questions import encode_questions, read_questions, sample_questions
from tapeout.evals.section import (
    Answered,
    Evidence,
    Measure,
    Outcome,
    Plot,
    Section,
    Suggestion,
    Table,
    TableRow,
    Tile,
    Unit,
    Verdict,
)
from tapeout.evals.task import Task
from tapeout.evals.wording import interval_of, number, outcome, percent, points, titles_of, too_few

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel
Change = Literal["relative", "points"] | None
Score = Literal["exact", "rouge_l", "token_f1", "squad_exact", "squad_f1", "finished", "well_formed"]
"""Field of an answer that is a measure."""
SCORES: dict[Score, str] = {"exact": "exact_match", "finished": "stop_rate"}
"""Names of measures that differ from those of the fields."""
TURNS = ("first", "second", "later")


class InstructionAnswersTask(Task[Options, InstructionAnswers]):
    """Loss of expected answers, and scores of generated ones, on the test split of an instruction set."""

    options = Options
    result = InstructionAnswers

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the test split of the set."""
        return {"questions": (options.data, "test.jsonl")}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> InstructionAnswers:
        """Answer a sample of the questions, and score the expected answers.

        Raises:
            NotEnoughData: no row fits into the model's context.
        """
        rows = read_questions(files["questions"])
        sample = sample_questions(rows, options.max_rows)
        assert model.encoding is not None, "a task with QuestionOptions gets it"
        fitting = encode_questions(model.encoder, model.encoding, model.facts.context, sample)
        if not fitting:
            raise NotEnoughData(
                f"None of {len(sample)} test rows of {options.data} fits into the model's context of "
                f"{model.facts.context} tokens.",
                "Shorten the rows (max_context_characters of the data set), lengthen the model's context, or leave the "
                "set out of evaluation.sets.",
            )
        progress.report(0, 1 + len(fitting), now="loss of expected answers")
        scores = score_answers(model, fitting, options.score_batch_tokens)
        progress.report(1, 1 + len(fitting), now="answers")
        return InstructionAnswers(
            template=model.encoding.for_questions,
            rows_in_test=len(rows),
            left_out=len(sample) - len(fitting),
            expected_over_limit=sum(len(question.answer) > options.max_new_tokens for question in fitting),
            answer_scores=scores,
            turn_scores=score_turns(model, fitting, options.score_batch_tokens),
            answers=answer_questions(model, fitting, options),
        )

    def answered(self, result: InstructionAnswers) -> dict[str, Answered]:
        """Return the generated answers."""
        return {one.digest: _answered(one) for one in result.answers}

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of questions and answers: each is scored once and generated once."""
        return options.max_rows * (2.0 * context + options.max_new_tokens)

    def measure(self, result: InstructionAnswers, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return losses of expected answers and scores of generated ones; names begin with the set."""
        name = set_name(options)
        common: dict[str, Any] = {"unit": "rows", "data": options.data, "total": result.rows_in_test}
        scores, answers = result.answer_scores, result.answers

        def loss(part: str, label: str, units: list[Unit], change: Change = None) -> tuple[Measure, list[Unit]]:
            return Measure(f"{name}.{part}", f"{name}: {label}", lower_is_better=True, change=change, **common), units

        def answered(part: Score, label: str, change: Change = None) -> tuple[Measure, list[Unit]]:
            measure = Measure(
                f"{name}.{SCORES.get(part, part)}",
                f"{name}: {label}",
                lower_is_better=False,
                percent=True,
                interval="wilson" if isinstance(getattr(answers[0], part), bool) else "bootstrap",
                change=change,
                by_stratum=True,
                **common,
            )
            return measure, [Unit(one.digest, float(getattr(one, part)), 1.0, one.category) for one in answers]

        return [
            loss(
                "answer_bits_per_byte",
                "bits per byte, expected answers",
                [Unit(score.digest, score.nats / log(2), score.bytes, score.category) for score in scores],
                "relative",
            ),
            loss(
                "answer_loss",
                "loss of expected answers, nats per token",
                [Unit(score.digest, score.nats, score.tokens, score.category) for score in scores],
            ),
            *(
                loss(f"turn_loss.{turn}", f"loss of {turn} answers of conversations, nats per token", units)
                for turn, units in by_turn(result.turn_scores).items()
            ),
            answered("exact", "exact match", "points"),
            answered("rouge_l", "ROUGE-L", "points"),
            answered("token_f1", "token F1"),
            answered("squad_exact", "exact match as in SQuAD"),
            answered("squad_f1", "F1 as in SQuAD"),
            answered("finished", "answers that the model ends itself"),
            answered("well_formed", "answers with the right end and no marks of the prompt"),
        ]

    def describe(self, evidence: Evidence[InstructionAnswers]) -> Section:
        """Describe the tables of losses and answers, and the verdict on instructions."""
        comparisons, results, name = evidence.comparisons, evidence.results, set_name(evidence.options)
        exact = f"{name}.exact_match."
        categories = titles_of([name.removeprefix(exact) for name in comparisons if name.startswith(exact)])

        def by_category(*measures: str) -> list[TableRow]:
            names = [f"{name}.{measure}" for measure in measures]
            rows = [
                TableRow(title, [f"{measure}.{category}" for measure in names])
                for category, title in categories.items()
            ]
            return [*rows, TableRow("All", names, is_total=True)]

        measures = {
            "answer_bits_per_byte": "Bits per byte, expected answers",
            "answer_loss": "Loss of expected answers, nats per token",
            **{f"turn_loss.{turn}": f"Loss of {turn} answers of conversations" for turn in TURNS},
            "stop_rate": "Answers that the model ends itself, %",
            "well_formed": "Answers with the right end and no marks of the prompt, %",
        }
        return Section(
            title=f"Answers to questions: {name}",
            tables=[
                Table(
                    "Measure",
                    [
                        TableRow(label, [f"{name}.{measure}"])
                        for measure, label in measures.items()
                        if f"{name}.{measure}" in comparisons
                    ],
                    notes=["Loss per token is comparable only between models with the same tokenizer."],
                ),
                Table(
                    "Category",
                    by_category("exact_match", "rouge_l"),
                    groups=("Exact match, %", "ROUGE-L, %"),
                    notes=[
                        f"Rows left out because they exceed the context: "
                        f"{_listed({model: result.left_out for model, result in results.items()})}. "
                        f"Expected answers longer than the generation limit: "
                        f"{_listed({model: result.expected_over_limit for model, result in results.items()})}."
                    ],
                ),
                Table(
                    "Category",
                    by_category("token_f1", "squad_exact", "squad_f1"),
                    groups=("Token F1, %", "SQuAD exact match, %", "SQuAD F1, %"),
                    notes=["SQuAD's normalization drops punctuation, so it equates different Verilog."],
                    summary="Further measures by category",
                ),
            ],
            verdicts=_verdicts(evidence, judging_measure(results)),
            tiles=_tiles(evidence),
            suggestions=_suggestions(evidence, judging_measure(results)),
            plots=[
                Plot(
                    name=f"match-{name}",
                    title=f"Exact answers by category: {name}",
                    caption="Held-out questions, greedy decoding",
                    description=f"Exact match by category and model, {name}",
                    axis="exact answers, % (higher is better)",
                    panels={title: f"{exact}{category}" for category, title in categories.items()},
                    grouped=True,
                )
            ],
            methods=METHODS,
        )


def set_name(options: Options) -> str:
    """Return the name of the evaluated set."""
    return options.data.removeprefix("instructions/")


def judging_measure(results: Mapping[str, InstructionAnswers]) -> str:
    """Return the measure that decides the verdict: exact match, or ROUGE-L where expected answers are long."""
    words = [len(answer.expected.split()) for answer in next(iter(results.values())).answers]
    return "exact_match" if median(words) <= MAX_EXACT_WORDS else "rouge_l"


def _answered(answer: Answer) -> Answered:
    """Return an answer; a near miss has at least half of the words in common with an accepted one."""
    return Answered(
        asked=answer.prompt,
        expected=answer.expected,
        answer=answer.generated,
        kind="exact" if answer.exact else "near miss" if answer.rouge_l >= NEAR else "failure",
        category=answer.category,
        source=f"{answer.source}, licence {answer.licence}" if answer.licence else answer.source,
        facts={
            "ROUGE-L": percent(answer.rouge_l, 0),
            "token F1": percent(answer.token_f1, 0),
            "tokens": f"{answer.tokens}",
            "ended by the model": "yes" if answer.finished else "no, at the limit of tokens",
        },
    )


def by_turn(scores: Iterable[TurnScore]) -> dict[str, list[Unit]]:
    """Return the losses of first, second and later answers, a unit for each conversation that has such answers."""
    sums: dict[str, dict[str, list[float]]] = {turn: {} for turn in TURNS}
    for score in scores:
        total = sums[TURNS[min(score.turn, len(TURNS)) - 1]].setdefault(score.digest, [0.0, 0.0])
        total[0] += score.nats
        total[1] += score.tokens
    return {
        turn: [Unit(digest, total[0], total[1]) for digest, total in units.items()]
        for turn, units in sums.items()
        if units
    }


def _categories(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _tiles(evidence: Evidence[InstructionAnswers]) -> list[Tile]:
    """Return exact match and answer loss of the shipped model."""
    model, name = evidence.adapted.shipped, set_name(evidence.options)
    if model is None:
        return []
    exact, loss = evidence.comparisons[f"{name}.exact_match"], evidence.comparisons[f"{name}.answer_loss"]
    interval = f"{percent(evidence.confidence, 0)} interval"
    return [
        Tile(
            f"Exact answers of {model}, {name}",
            percent(exact.values[model].value),
            f"{interval} {interval_of(exact, model)}, {exact.units} of {exact.measure.total} rows",
        ),
        Tile(
            f"Loss of {model} on test answers, {name}",
            number(loss.values[model].value),
            f"nats per token, {interval} {interval_of(loss, model)}, {loss.units} rows",
        ),
    ]


def _verdicts(evidence: Evidence[InstructionAnswers], measure: str) -> list[Verdict]:
    """Answer whether the shipped model answers questions that the models before it cannot."""
    adapted, name = evidence.adapted, set_name(evidence.options)
    shipped = adapted.shipped
    earlier = [model for model in (adapted.base, adapted.pretrained) if model not in (None, shipped)]
    comparison = evidence.comparisons[f"{name}.{measure}"]
    if shipped is None or not earlier:
        return []
    values = {model: estimate.value for model, estimate in comparison.values.items()}
    gains = {before: comparison.changes[before, shipped] for before in earlier if before is not None}
    nearest, least = min(gains.items(), key=lambda item: item[1].value)
    reached: Outcome
    outcomes = {outcome(comparison, gain) for gain in gains.values()}
    if outcomes == {"good"}:
        reached, begin = ("good", "Yes") if values[shipped] >= MOSTLY else ("part", "In part")
        begin += ", instructions are followed"
    elif "bad" in outcomes:
        reached, begin = "bad", "No, instructions are not followed better"
    else:
        reached, begin = "open", "It is open whether instructions are followed better"
    achieved = {
        "exact_match": f"answers {percent(values[shipped])} of {comparison.units} held-out questions exactly",
        "rouge_l": f"shares {percent(values[shipped])} of its words with {comparison.units} long expected answers "
        "(ROUGE-L)",
    }[measure]
    others = " and ".join(f"{percent(values[model])} ({model})" for model in earlier if model is not None)
    return [
        Verdict(
            f"Instructions: {name}",
            reached,
            f"{begin}: {adapted.subject} {achieved}, compared with {others} (gain over {nearest} "
            f"{points(least.value)}; {percent(evidence.confidence, 0)} interval {points(least.low, unit=False)} to "
            f"{points(least.high)}){too_few(comparison)}.",
            (f"{name}.{measure}",),
        )
    ]


def _suggestions(evidence: Evidence[InstructionAnswers], measure: str) -> list[Suggestion]:
    """Return what to change where answers got worse, or those of a category did not get better."""
    adapted, name = evidence.adapted, set_name(evidence.options)
    whole = evidence.comparisons[f"{name}.{measure}"]
    if adapted.step is None or (lost := forgetting(whole, adapted)):
        return lost if adapted.step is not None else []
    begin = f"{whole.measure.name}."
    parts = {one.measure.label: one for key, one in evidence.comparisons.items() if key.startswith(begin)}
    without = [label for label, one in parts.items() if one.changes[adapted.step].value <= 0]
    if not without or not adapted.is_instructed:
        return []
    shipped = adapted.step[1]
    none_right = measure == "exact_match" and not any(parts[label].values[shipped].value for label in without)
    begin = f"{name}: no exact answers yet" if none_right else f"{whole.measure.label}: no gain"
    finding = f"{begin} in {len(without)} of {len(parts)} categories ({_categories(without)})"
    near = {label: evidence.comparisons.get(f"{name}.rouge_l.{label}") for label in without}
    rose = [label for label, one in near.items() if one is not None and one.changes[adapted.step].value > 0]
    if measure == "exact_match" and rose:
        finding += f"; ROUGE-L rose in {_categories(rose) if len(rose) < len(without) else 'all of them'}"
    return [
        Suggestion(
            finding,
            "Add rows of these categories to a set of `instructions.train`.",
        )
    ]


TASK = InstructionAnswersTask()
