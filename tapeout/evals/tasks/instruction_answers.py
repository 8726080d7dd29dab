"""Held-out questions of an instruction set: generated answers, and the loss of the expected answers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import log
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tapeout import progress
from tapeout.data.errors import NotEnoughData
from tapeout.evals.answers import Answer, InstructionAnswers, Options, answer_questions, score_answers
from tapeout.evals.questions import encode_questions, read_questions, sample_questions
from tapeout.evals.section import (
    Evidence,
    Example,
    ExampleGroup,
    Kind,
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
from tapeout.evals.wording import MIN_UNITS, interval_of, number, outcome, percent, points, too_few

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

MOSTLY = 0.5
"""Minimum score at which instructions count as followed, not just partly followed."""
NEAR = 0.5
"""Minimum ROUGE-L of an answer that is not exact but a near miss."""
MAX_EXACT_WORDS = 20
"""Median length of expected answers up to which exact match decides the verdict; longer ones are rarely exact."""
KINDS: tuple[Kind, ...] = ("exact", "near miss", "failure")


class InstructionAnswersTask(Task[Options, InstructionAnswers]):
    """Exact match, ROUGE-L and the loss of expected answers on the test split of an instruction set."""

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
            answers=answer_questions(model, fitting, options),
        )

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of questions and answers: each is scored once and generated once."""
        return options.max_rows * (2.0 * context + options.max_new_tokens)

    def measure(self, result: InstructionAnswers, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return bits per byte and loss of the expected answers, exact match and ROUGE-L; names begin with the set."""
        name = set_name(options)
        common: dict[str, Any] = {"unit": "rows", "data": options.data, "total": result.rows_in_test}
        scores, answers = result.answer_scores, result.answers
        return [
            (
                Measure(
                    f"{name}.answer_bits_per_byte",
                    f"{name}: bits per byte, expected answers",
                    lower_is_better=True,
                    change="relative",
                    **common,
                ),
                [Unit(score.digest, score.nats / log(2), score.bytes, score.category) for score in scores],
            ),
            (
                Measure(
                    f"{name}.answer_loss",
                    f"{name}: loss of expected answers, nats per token",
                    lower_is_better=True,
                    **common,
                ),
                [Unit(score.digest, score.nats, score.tokens, score.category) for score in scores],
            ),
            (
                Measure(
                    f"{name}.exact_match",
                    f"{name}: exact match",
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
                    f"{name}.rouge_l",
                    f"{name}: ROUGE-L",
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
        comparisons, results, name = evidence.comparisons, evidence.results, set_name(evidence.options)
        exact = f"{name}.exact_match."
        categories = titles_of([name.removeprefix(exact) for name in comparisons if name.startswith(exact)])
        finished = {model: _fraction_finished(result) for model, result in results.items()}
        judged = evidence.adapted.shipped or list(results)[-1]
        return Section(
            title=f"Answers to questions: {name}",
            tables=[
                Table(
                    "Measure",
                    [
                        TableRow(comparisons[measure].measure.label, [measure])
                        for measure in (f"{name}.answer_bits_per_byte", f"{name}.answer_loss")
                    ],
                    notes=["Loss per token is comparable only between models with the same tokenizer."],
                ),
                Table(
                    "Category",
                    [
                        *(
                            TableRow(title, [f"{exact}{category}", f"{name}.rouge_l.{category}"])
                            for category, title in categories.items()
                        ),
                        TableRow("All", [f"{name}.exact_match", f"{name}.rouge_l"], is_total=True),
                    ],
                    groups=("Exact match, %", "ROUGE-L, %"),
                    notes=[
                        f"Answers that end before the limit: {_listed(finished, percent)}. "
                        f"Rows left out because they exceed the context: "
                        f"{_listed({model: result.left_out for model, result in results.items()})}. "
                        f"Expected answers longer than the generation limit: "
                        f"{_listed({model: result.expected_over_limit for model, result in results.items()})}."
                    ],
                ),
            ],
            verdicts=_verdicts(evidence, judging_measure(results)),
            tiles=_tiles(evidence),
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
            judged=judged,
            examples=_examples(results, judged, evidence.examples),
            methods=METHODS,
            facts={f"{name}.finished_answers": finished},
        )


def titles_of(categories: Iterable[str]) -> dict[str, str]:
    """Return the titles of categories: their names as words, or as they are where two would have the same title."""
    words = {name: name.replace("_", " ") for name in categories}
    counts = Counter(words.values())
    return {name: title if counts[title] == 1 else name for name, title in words.items()}


def set_name(options: Options) -> str:
    """Return the name of the evaluated set."""
    return options.data.removeprefix("instructions/")


def judging_measure(results: Mapping[str, InstructionAnswers]) -> str:
    """Return the measure that decides the verdict: exact match, or ROUGE-L where expected answers are long."""
    words = [len(answer.expected.split()) for answer in next(iter(results.values())).answers]
    return "exact_match" if median(words) <= MAX_EXACT_WORDS else "rouge_l"


def _fraction_finished(result: InstructionAnswers) -> float:
    return sum(answer.finished for answer in result.answers) / len(result.answers)


def _listed(values: Mapping[str, Any], written: Any = str) -> str:
    return ", ".join(f"{name} {written(value)}" for name, value in values.items())


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
    gains = [comparison.changes[before, shipped] for before in earlier if before is not None]
    least = min(gains, key=lambda gain: gain.value)
    reached: Outcome
    if all(outcome(comparison, gain) == "good" for gain in gains):
        reached, begin = ("good", "Yes") if values[shipped] >= MOSTLY else ("part", "In part")
        begin += ", instructions are followed"
    elif comparison.units < MIN_UNITS or least.value > 0:
        reached, begin = "open", "It is open whether instructions are followed better"
    else:
        reached, begin = "bad", "No, instructions are not followed better"
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
            f"{begin}: {adapted.subject} {achieved}, compared with {others} (smaller gain {points(least.value)}; "
            f"{percent(evidence.confidence, 0)} interval {points(least.low, unit=False)} to {points(least.high)})"
            f"{too_few(comparison)}.",
        )
    ]


def kind_of(answer: Answer) -> Kind:
    """Return how good an answer is."""
    return "exact" if answer.exact else "near miss" if answer.rouge_l >= NEAR else "failure"


def _examples(results: Mapping[str, InstructionAnswers], judged: str, count: int) -> list[ExampleGroup]:
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


METHODS = (
    Method(
        "Loss of expected answers",
        "Mean negative natural logarithm of the probability of each token of the expected answer and of what ends it, "
        "given the prompt. Tokens of the prompt do not count, as in training. Of a conversation it is the last answer, "
        "given all turns before it.",
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
        "It ignores punctuation, so read it together with exact match. An answer that is not exact is called a near "
        f"miss from {percent(NEAR, 0)}, below it a failure.",
    ),
    Method(
        "Verdict on instructions",
        "Exact match of the exported model is above that of the models before it, and each gain is clear by its "
        f"corrected p-value; below {percent(MOSTLY, 0)}, instructions count as followed only in part. ROUGE-L takes "
        f"its place if the median of the expected answers is above {MAX_EXACT_WORDS} words. Fewer than {MIN_UNITS} "
        "rows give no verdict.",
    ),
)

TASK = InstructionAnswersTask()
