"""Multiple choice: which of the given answers a model finds likeliest, after examples of other questions.

After the AutoEval benchmarks of ChipNeMo (Liu et al. 2023); scores are those of lm-eval (Gao et al. 2021).
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from tapeout.config.section import conflict
from tapeout.config.sources import SourceName
from tapeout.config.task_options import ScoringOptions
from tapeout.data.errors import NotEnoughData
from tapeout.evals.advice import forgetting
from tapeout.evals.choice_section import (
    ACCURACY,
    METHODS,
    answered,
    below_chance,
    by_seed,
    chance_of,
    mean_shots,
    notes_of,
    positions_of,
    strata_of,
    tiles_of,
    verdicts_of,
)
from tapeout.evals.choices import MultipleChoice, Scoring, read_choice_questions, score_choices
from tapeout.evals.section import Answered, Evidence, Measure, Plot, Section, Table, TableRow, Unit
from tapeout.evals.task import Task
from tapeout.evals.wording import by_difficulty, percent

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

NAME = "multiple_choice"
OWN_QUESTIONS = 136
"""Questions of the project's own file, four choices each; for estimates of time, because the file is not read then."""
TOKENS_PER_EXAMPLE = 45
"""Of a question with its answer, in those questions."""


class Options(ScoringOptions):
    """Questions, examples and what is scored."""

    source: SourceName = Field(NAME, description="Source with the questions.")
    files: str = Field(
        "*.jsonl",
        min_length=1,
        description="Pattern of the paths, inside the source, of the files to read, JSON Lines with a question a line.",
    )
    max_questions: int = Field(
        1_000, ge=1, description="Maximum number of questions, chosen by digest: the same ones for every model."
    )
    shots: int = Field(
        5, ge=0, description="Questions with their answers before each question; fewer where the context is too short."
    )
    seeds: tuple[int, ...] = Field(
        (1, 2, 3), min_length=1, description="Each question is asked once for each seed, after other examples."
    )
    scoring: Scoring = Field(
        "text",
        description="What is scored: text, the choices themselves, which the prompt does not list; or letter, the "
        "letters of the choices, which the prompt lists. Letters need models that can refer to a list.",
    )

    @field_validator("seeds")
    @classmethod
    def _differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise conflict("seeds names a seed twice", "Name each seed once.", "seeds")
        return seeds


class MultipleChoiceTask(Task[Options, MultipleChoice]):
    """Accuracy on multiple-choice questions by log-likelihood."""

    options = Options
    result = MultipleChoice

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the folder of the source."""
        return {"questions": (f"sources/{options.source}", "")}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> MultipleChoice:
        """Ask a sample of the questions.

        Raises:
            NotEnoughData: no file matches, or no question fits into the model's context.
        """
        paths = _matching(files["questions"], options.files)
        if not paths:
            raise NotEnoughData(
                f"The source {options.source} has no file that matches {options.files}.",
                f"Correct evaluation.tasks.{NAME}.files, or the source.",
            )
        questions = read_choice_questions(paths)
        sample = questions[: options.max_questions]
        scored = score_choices(model, sample, options.seeds, options.shots, options.scoring, options.score_batch_tokens)
        if not scored:
            raise NotEnoughData(
                f"None of {len(sample)} questions of {options.source} fits into the model's context of "
                f"{model.facts.context} tokens.",
                f"Shorten the questions, or leave {NAME} out of evaluation.tasks.",
            )
        return MultipleChoice(
            scoring=options.scoring,
            in_source=len(questions),
            left_out=len(sample) - len(scored),
            questions=scored,
        )

    def texts(self, files: Mapping[str, Path], options: Options) -> dict[str, str]:
        """Return question and choices of each question of the source."""
        paths = _matching(files["questions"], options.files)
        questions = read_choice_questions(paths) if paths else []
        return {question.digest: "\n".join([question.question, *question.choices]) for question in questions}

    def answered(self, result: MultipleChoice) -> dict[str, Answered]:
        """Return the choices after the examples of the first seed."""
        return {one.digest: answered(one) for one in result.questions}

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of the prompts, once for each choice; the number of questions is that of the own file."""
        prompt = min(context, TOKENS_PER_EXAMPLE * (options.shots + 1))
        return 4.0 * min(options.max_questions, OWN_QUESTIONS) * len(options.seeds) * prompt

    def measure(self, result: MultipleChoice, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return accuracy by area and difficulty, and normalized by the length of the choices if texts are scored."""
        common: dict[str, Any] = {
            "unit": "questions",
            "data": f"sources/{options.source}",
            "lower_is_better": False,
            "total": result.in_source,
            "percent": True,
            "interval": "wilson" if len(options.seeds) == 1 else "bootstrap",
            "by_stratum": True,
        }
        measures = [(Measure(ACCURACY, "Multiple choice: accuracy", change="points", **common), False, "area")]
        if result.scoring == "text":
            label = "Multiple choice: accuracy, normalized by length"
            measures.append((Measure(f"{NAME}.normalized", label, change="points", **common), True, "area"))
        measures.append(
            (Measure(f"{NAME}.difficulty", "Multiple choice: accuracy by difficulty", **common), False, "difficulty")
        )
        return [
            (
                measure,
                [
                    Unit(one.digest, one.accuracy(normalized), stratum=getattr(one.question, group))
                    for one in result.questions
                ],
            )
            for measure, normalized, group in measures
        ]

    def describe(self, evidence: Evidence[MultipleChoice]) -> Section:
        """Describe accuracy by area and difficulty beside chance, and the verdict where the data supports one."""
        results, chance = evidence.results, chance_of(evidence.results)
        names = [ACCURACY, f"{NAME}.normalized"]
        columns = [name for name in names if name in evidence.comparisons]
        areas = strata_of(evidence.comparisons, columns[0])
        headings = ("Accuracy, %", "Accuracy normalized by length, %")[: len(columns)]
        return Section(
            title="Multiple choice",
            tables=[
                Table(
                    "Area",
                    [
                        *(TableRow(area, [f"{name}.{area}" for name in columns]) for area in areas),
                        TableRow("All", columns, is_total=True),
                    ],
                    groups=headings,
                    notes=[
                        f"Chance is {percent(chance)}.",
                        *below_chance(results, evidence.comparisons[ACCURACY], chance),
                        *notes_of(results),
                    ],
                ),
                Table(
                    "Difficulty",
                    [
                        TableRow(level, [f"{NAME}.difficulty.{level}"])
                        for level in by_difficulty(strata_of(evidence.comparisons, f"{NAME}.difficulty"))
                    ],
                    groups=(headings[0],),
                ),
            ],
            verdicts=verdicts_of(evidence, chance),
            tiles=tiles_of(evidence, chance),
            suggestions=forgetting(evidence.comparisons[ACCURACY], evidence.adapted),
            plots=[
                Plot(
                    name="choices",
                    title="Multiple choice by area",
                    caption=f"Chance is {percent(chance)}",
                    description="Accuracy on multiple-choice questions by area and model",
                    axis="accuracy, % (higher is better)",
                    panels={area: f"{columns[0]}.{area}" for area in areas},
                    grouped=True,
                )
            ],
            methods=METHODS,
            facts={
                f"{NAME}.chance": chance,
                f"{NAME}.shots": {model: mean_shots(result) for model, result in results.items()},
                f"{NAME}.left_out": {model: result.left_out for model, result in results.items()},
                f"{NAME}.positions": {model: positions_of(result) for model, result in results.items()},
                f"{NAME}.accuracy_by_seed": {model: by_seed(result) for model, result in results.items()},
            },
        )


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder whose path in it matches a pattern, in the order of their paths."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [path for name, path in sorted(files.items()) if fnmatchcase(name, pattern)]


TASK = MultipleChoiceTask()
