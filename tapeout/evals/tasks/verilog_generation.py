"""Designs from descriptions: how far answers get, from a module in the text to a passed test bench."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.task_options import ProblemOptions
from tapeout.evals.design_answers import answered
from tapeout.evals.design_section import describe, rung_measure
from tapeout.evals.design_summary import LABELS
from tapeout.evals.design_syntheses import measures_of
from tapeout.evals.designs import Design, Designs, judge_samples
from tapeout.evals.pass_at_k import pass_at_k
from tapeout.evals.section import Answered, Evidence, Measure, Section, Unit
from tapeout.evals.task import Sample, SampledTask
from tapeout.simulation.checked import read_checked
from tapeout.simulation.ladder import REASONS, RUNGS
from tapeout.simulation.problem_set import read_lines

TYPICAL_PROBLEMS = 50
"""Problems of a set, for estimates of time before one is read."""


class Options(ProblemOptions):
    """Options of the task."""


class VerilogGenerationTask(SampledTask[Options, Designs]):
    """Ladder and pass@k on a problem set."""

    options = Options
    result = Designs
    sampler = "tapeout.evals.design_prompts"

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the problems, and what their check found."""
        name = options.problems.removeprefix("problems/")
        return {"problems": (options.problems, "problems.jsonl"), "checked": (f"checked/{name}.json", "")}

    def searched(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the problems alone: another simulator changes no text."""
        return {"problems": self.files(options)["problems"]}

    def judge(self, samples: Sequence[Sample], files: Mapping[str, Path], options: Options, threads: int) -> Designs:
        """Judge saved answers."""
        checked = read_checked(files["checked"])
        return judge_samples(read_lines(files["problems"]), checked, samples, options.permit_no_isolation, threads)

    def texts(self, files: Mapping[str, Path], options: Options) -> dict[str, str]:
        """Return description and golden solution of each problem."""
        return {problem.digest: f"{problem.prompt}\n{problem.golden}" for problem in read_lines(files["problems"])}

    def answered(self, result: Designs) -> dict[str, Answered]:
        """Return the greedy answer to each usable problem."""
        return {design.digest: answered(design) for design in result.usable}

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of prompts and answers of a typical set."""
        return TYPICAL_PROBLEMS * (1 + options.samples) * (context / 2 + min(options.max_new_tokens, context / 2))

    def measure(self, result: Designs, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return the ladder of greedy and of sampled answers, pass@k, and the share of each reason."""
        usable, name = result.usable, options.problems.removeprefix("problems/")
        common: dict[str, Any] = {
            "unit": "problems",
            "data": options.problems,
            "total": len(result.designs),
            "lower_is_better": False,
            "percent": True,
        }

        def share(measure: str, label: str, units: list[Unit], **more: Any) -> tuple[Measure, list[Unit]]:
            return Measure(f"{name}.{measure}", f"{name}: {label}", **{**common, **more}), units

        measures = []
        for rung in RUNGS[1:]:
            greedy = [_unit(design, float(design.greedy.reaches(rung))) for design in usable]
            more: dict[str, Any] = {"interval": "wilson"}
            if rung in ("parses", "passes"):
                more |= {"change": "points"}
            measures.append(share(rung_measure(rung), f"{LABELS[rung]}, greedy", greedy, by_stratum=True, **more))
            if options.samples:
                mean = [
                    _unit(design, sum(one.reaches(rung) for one in design.sampled) / options.samples)
                    for design in usable
                ]
                measures.append(share(rung_measure(rung, sampled=True), f"{LABELS[rung]}, mean of samples", mean))
        for measure, label in measures_of(result).items():
            judged = result.synthesized
            greedy = [_unit(one, float(getattr(one.attempts[0], measure))) for one in judged]
            measures.append(share(measure, f"{label}, greedy", greedy, interval="wilson"))
            if options.samples:
                mean = [
                    _unit(one, sum(getattr(attempt, measure) for attempt in one.attempts[1:]) / options.samples)
                    for one in judged
                ]
                measures.append(share(f"sampled_{measure}", f"{label}, mean of samples", mean))
        measures.append(
            share(
                "passes_of_all",
                "passes, greedy, of all problems",
                [_unit(one, float(not one.unusable and one.greedy.passes)) for one in result.designs],
                interval="wilson",
            )
        )
        measures.append(
            share(
                "passes_by_difficulty",
                "passes, greedy",
                [Unit(one.digest, float(one.greedy.passes), stratum=one.difficulty) for one in usable],
                interval="wilson",
                by_stratum=True,
            )
        )
        for k in options.pass_at:
            estimates = [
                _unit(one, pass_at_k(options.samples, sum(judged.passes for judged in one.sampled), k))
                for one in usable
            ]
            measures.append(share(f"pass_at_{k}", f"pass@{k}", estimates, change="points" if k == 1 else None))
        for reason in REASONS:
            units = [
                _unit(one, sum(attempt.judgement.reason == reason for attempt in one.attempts) / len(one.attempts))
                for one in usable
            ]
            measures.append(share(f"reason.{reason}", f"answers that end with {reason}", units, lower_is_better=True))
        return measures

    def describe(self, evidence: Evidence[Designs]) -> Section:
        """Describe the ladder, pass@k, categories, difficulties and reasons."""
        return describe(evidence)


def _unit(design: Design, value: float) -> Unit:
    return Unit(design.digest, value, stratum=design.category)


TASK = VerilogGenerationTask()
