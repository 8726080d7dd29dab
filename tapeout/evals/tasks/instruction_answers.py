"""Held-out questions: generated answers compared with the expected ones, and the loss of the expected answers."""

from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout import progress
from tapeout.data.errors import NotEnoughData
from tapeout.evals.answers import (
    InstructionAnswers,
    Options,
    answer_questions,
    encode_questions,
    sample_questions,
    score_answers,
)
from tapeout.evals.rows import read_rows
from tapeout.evals.section import (
    Comparison,
    Evidence,
    Example,
    Measure,
    Method,
    Outcome,
    Plot,
    Section,
    Table,
    TableRow,
    Tile,
    Unit,
    Verdict,
)
from tapeout.evals.task import Task
from tapeout.evals.wording import interval_of, number, percent, points

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

MOSTLY = 0.5
"""Minimum fraction of exact answers at which instructions count as followed, not just partly followed."""


class InstructionAnswersTask(Task[Options, InstructionAnswers]):
    """Exact match, ROUGE-L and the loss of expected answers on the test split of instruction data."""

    options = Options
    result = InstructionAnswers
    asks_questions = True

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the test split of the instruction data."""
        return {"questions": (options.data, "test.jsonl")}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> InstructionAnswers:
        """Answer a sample of the questions, and score the expected answers.

        Raises:
            NotEnoughData: no row fits into the model's context.
        """
        rows = read_rows(files["questions"], ("input", "output", "category", "source", "licence"))
        encoded = encode_questions(model, sample_questions(rows, options.max_rows))
        context = model.facts.context
        fitting = [row for row in encoded if len(row.prompt) + len(row.answer) <= context]
        if not fitting:
            raise NotEnoughData(
                f"None of {len(encoded)} instruction rows fits into the model's context of {context} tokens.",
                "Shorten the rows (max_context_characters of the data set) or lengthen the model's context.",
            )
        progress.report(0, 1 + len(fitting), now="loss of expected answers")
        scores = score_answers(model, fitting, options.score_batch_tokens)
        progress.report(1, 1 + len(fitting), now="answers")
        return InstructionAnswers(
            template=model.template,
            rows_in_test=len(rows),
            left_out=len(encoded) - len(fitting),
            expected_over_limit=sum(len(row.answer) > options.max_new_tokens for row in fitting),
            answer_scores=scores,
            answers=answer_questions(model, fitting, options),
        )

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of questions and answers: each is scored once and generated once."""
        return options.max_rows * (2.0 * context + options.max_new_tokens)

    def measure(self, result: InstructionAnswers, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return bits per byte and loss of the expected answers, exact match and ROUGE-L."""
        common: dict[str, Any] = {"unit": "rows", "data": options.data, "total": result.rows_in_test}
        scores, answers = result.answer_scores, result.answers
        return [
            (
                Measure(
                    "answer_bits_per_byte",
                    "Bits per byte, expected answers",
                    lower_is_better=True,
                    change="relative",
                    **common,
                ),
                [Unit(score.digest, score.nats / log(2), score.bytes, score.category) for score in scores],
            ),
            (
                Measure("answer_loss", "Loss of expected answers, nats per token", lower_is_better=True, **common),
                [Unit(score.digest, score.nats, score.tokens, score.category) for score in scores],
            ),
            (
                Measure(
                    "exact_match",
                    "Exact match",
                    lower_is_better=False,
                    percent=True,
                    interval="wilson",
                    change="points",
                    by_stratum=True,
                    **common,
                ),
                [Unit(answer.digest, float(answer.exact), 1.0, answer.category) for answer in answers],
            ),
            (
                Measure(
                    "rouge_l",
                    "ROUGE-L",
                    lower_is_better=False,
                    percent=True,
                    change="points",
                    by_stratum=True,
                    **common,
                ),
                [Unit(answer.digest, answer.rouge_l, 1.0, answer.category) for answer in answers],
            ),
        ]

    def describe(self, evidence: Evidence[InstructionAnswers]) -> Section:
        """Describe the tables of losses and answers, sample answers and the verdict on instructions."""
        comparisons, results = evidence.comparisons, evidence.results
        exact = comparisons["exact_match"]
        categories = [name.partition(".")[2] for name in comparisons if name.startswith("exact_match.")]
        finished = {name: _fraction_finished(result) for name, result in results.items()}
        return Section(
            title="Answers to questions",
            tables=[
                Table(
                    "Measure",
                    [
                        TableRow(comparisons[name].measure.label, [name])
                        for name in ("answer_bits_per_byte", "answer_loss")
                    ],
                    notes=["Loss per token is comparable only between models with the same tokenizer."],
                ),
                Table(
                    "Category",
                    [
                        *(
                            TableRow(name.replace("_", " "), [f"exact_match.{name}", f"rouge_l.{name}"])
                            for name in categories
                        ),
                        TableRow("All", ["exact_match", "rouge_l"], is_total=True),
                    ],
                    groups=("Exact match, %", "ROUGE-L, %"),
                    notes=[
                        f"Answers that end before the limit: {_listed(finished, percent)}. "
                        f"Rows left out because they exceed the context: "
                        f"{_listed({name: result.left_out for name, result in results.items()})}. "
                        f"Expected answers longer than the generation limit: "
                        f"{_listed({name: result.expected_over_limit for name, result in results.items()})}."
                    ],
                ),
            ],
            verdicts=_verdicts(evidence, exact),
            tiles=_tiles(evidence),
            plots=[
                Plot(
                    name="match",
                    title="Exact answers by category",
                    caption="Questions about held-out cores, greedy decoding",
                    description="Exact match by category and model",
                    axis="exact answers, % (higher is better)",
                    panels={name.replace("_", " "): f"exact_match.{name}" for name in categories},
                    grouped=True,
                )
            ],
            examples=_examples(results),
            methods=METHODS,
            facts={"finished_answers": finished},
        )


def _fraction_finished(result: InstructionAnswers) -> float:
    return sum(answer.finished for answer in result.answers) / len(result.answers)


def _listed(values: Mapping[str, Any], written: Any = str) -> str:
    return ", ".join(f"{name} {written(value)}" for name, value in values.items())


def _tiles(evidence: Evidence[InstructionAnswers]) -> list[Tile]:
    """Return exact match and answer loss of the fine-tuned model."""
    name = evidence.adapted.tuned
    if name is None:
        return []
    exact, loss = evidence.comparisons["exact_match"], evidence.comparisons["answer_loss"]
    interval = f"{percent(evidence.confidence, 0)} interval"
    return [
        Tile(
            f"Exact answers of {name}",
            percent(exact.values[name].value),
            f"{interval} {interval_of(exact, name)}, {exact.units} of {exact.measure.total} rows",
        ),
        Tile(
            f"Loss of {name} on test answers",
            number(loss.values[name].value),
            f"nats per token, {interval} {interval_of(loss, name)}",
        ),
    ]


def _verdicts(evidence: Evidence[InstructionAnswers], exact: Comparison) -> list[Verdict]:
    """Answer whether the fine-tuned model answers questions that the models before it cannot."""
    adapted = evidence.adapted
    tuned, earlier = adapted.tuned, [name for name in (adapted.base, adapted.pretrained) if name is not None]
    if tuned is None or not earlier:
        return []
    values = {name: estimate.value for name, estimate in exact.values.items()}
    gains = [exact.changes[before, tuned] for before in earlier]
    reached: Outcome
    if min(gain.low for gain in gains) > 0:
        reached, begin = ("good", "Yes") if values[tuned] >= MOSTLY else ("part", "In part")
        begin += ", instructions are followed"
    elif min(gain.value for gain in gains) > 0:
        reached, begin = "open", "Instructions may or may not be followed better"
    else:
        reached, begin = "bad", "No, instructions are not followed better"
    least = min(gains, key=lambda gain: gain.value)
    others = " and ".join(f"{percent(values[name])} ({name})" for name in earlier)
    return [
        Verdict(
            "Instructions",
            reached,
            f"{begin}: the fine-tuned model answers {percent(values[tuned])} of {exact.units} held-out questions "
            f"exactly, compared with {others} (smaller gain {points(least.value)}; {percent(evidence.confidence, 0)} "
            f"interval {points(least.low, unit=False)} to {points(least.high)}).",
        )
    ]


def _examples(results: Mapping[str, InstructionAnswers]) -> list[Example]:
    """Return the questions whose texts are in the results of all models, alternating between categories."""
    by_model = {
        model: {answer.digest: answer for answer in result.answers if answer.kept} for model, result in results.items()
    }
    counts: dict[str, int] = {}
    ranked = []
    for digest in sorted(set.intersection(*(set(answers) for answers in by_model.values()))):
        answers = {model: kept[digest] for model, kept in by_model.items()}
        first = next(iter(answers.values()))
        texts = {model: answer.kept for model, answer in answers.items() if answer.kept is not None}
        question = next(iter(texts.values()))
        rank = counts[first.category] = counts.get(first.category, 0) + 1
        example = Example(
            title=first.category.replace("_", " "),
            source=f"{first.source}, licence {first.licence}" if first.licence else first.source,
            prompt=question.prompt,
            expected=question.expected,
            answers={model: text.generated for model, text in texts.items()},
            correct={model: answer.exact for model, answer in answers.items()},
        )
        ranked.append((rank, first.category, example))
    return [example for _, _, example in sorted(ranked, key=lambda item: item[:2])]


METHODS = (
    Method(
        "Loss of expected answers",
        "Mean negative natural logarithm of the probability of each token of the expected answer and of the end token, "
        "given the prompt. Tokens of the prompt do not count, as in training.",
        "loss = −∑ ln p(answer token | prompt, answer so far) ÷ number of answer tokens",
    ),
    Method(
        "Exact match",
        "Fraction of answers that equal the expected one after outer whitespace is removed and each inner run of "
        "whitespace is replaced by one space. Case and punctuation count, because they carry meaning in Verilog. "
        "Answers are decoded greedily up to the end token or a fixed number of tokens; prompts are the same for all "
        "models.",
    ),
    Method(
        "ROUGE-L",
        "F1 of the longest common subsequence of words, which are runs of letters and digits in lower case (Lin 2004). "
        "With c words in common,",
        "P = c ÷ words generated, R = c ÷ words expected, ROUGE-L = 2PR ÷ (P + R)",
        "It ignores punctuation, so read it together with exact match.",
    ),
    Method(
        "Verdict on instructions",
        "Exact match of the fine-tuned model is above that of both other models, and neither interval of the gain "
        "includes zero; below "
        f"{percent(MOSTLY, 0)} exact answers, instructions count as followed only in part.",
    ),
)

TASK = InstructionAnswersTask()
