"""Results of a model on problems of design, and how its samples are judged."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tapeout import progress
from tapeout.evals.task import Result, Sample
from tapeout.evals.usable_problems import require_usable
from tapeout.simulation.checked import CheckedSet, Disagreement, SimulatorFacts
from tapeout.simulation.containment import Containment
from tapeout.simulation.extraction import extract, rule_digest
from tapeout.simulation.ladder import Judgement, judge
from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.synthesis import Synthesis
from tapeout.simulation.verilator import Verilator
from tapeout.simulation.yosys import Yosys


class Attempt(Result):
    """A judged answer.

    Attributes:
        number: 0 for the greedy answer, from 1 for sampled ones.
        prompt: SHA-256 of the text that the model was given.
        answer: text as it was generated; None if prompt and answer do not fit into the model's context.
        extracted: source text that the extraction rule took from it.
        judgement: how far it got.
        synthesis: what the synthesizer found; None for an answer that does not pass, or where none judges.
    """

    number: int
    prompt: str
    answer: str | None
    extracted: str
    finished: bool
    tokens: int
    judgement: Judgement
    synthesis: Synthesis | None = None

    @property
    def synthesizes(self) -> bool:
        """True if it passes and synthesizes."""
        return self.synthesis is not None and self.synthesis.synthesizes

    @property
    def proved(self) -> bool:
        """True if it passes and is proved equivalent to the golden solution."""
        return self.synthesis is not None and self.synthesis.proved


class Design(Result):
    """A problem with the judged answers to it.

    Attributes:
        unusable: why no answer can be judged; empty if it is usable. ``attempts`` is empty if it is not.
        attempts: judged answers, the greedy one first.
    """

    name: str
    digest: str
    title: str
    category: str
    difficulty: str
    prompt: str
    golden: str
    unusable: str
    attempts: list[Attempt]

    @property
    def greedy(self) -> Judgement:
        """The judged greedy answer."""
        return self.attempts[0].judgement

    @property
    def sampled(self) -> list[Judgement]:
        """The judged sampled answers."""
        return [attempt.judgement for attempt in self.attempts[1:]]


class Designs(Result):
    """Judged answers of one model to a problem set.

    Attributes:
        simulator: the one that judged.
        isolation: how generated programs were isolated.
        extraction_rule: SHA-256 of the extraction rule.
        second: another simulator that judged golden solutions and mutants; None if there was none.
        compared: designs that both judged.
        disagreements: designs on which they disagree.
        mutants: wrong designs that the test benches were tried with.
        survivors: those that they did not notice, as ``problem/mutant``.
        synthesizer: what synthesized answers that pass; None if none did.
        syntheses: by usable problem, what it found about the golden solution; answers to the others are not judged so.
    """

    designs: list[Design]
    simulator: SimulatorFacts
    isolation: str
    extraction_rule: str
    second: SimulatorFacts | None
    compared: int
    disagreements: list[Disagreement]
    mutants: int
    survivors: list[str]
    synthesizer: SimulatorFacts | None = None
    syntheses: dict[str, Synthesis] = {}

    @property
    def synthesized(self) -> list[Design]:
        """Usable problems whose golden solution synthesizes."""
        found = self.syntheses
        return [design for design in self.usable if design.name in found and found[design.name].synthesizes]

    @property
    def usable(self) -> list[Design]:
        """Problems by which answers can be judged."""
        return [design for design in self.designs if not design.unusable]


def judge_samples(
    problems: Sequence[Problem],
    checked: CheckedSet,
    samples: Sequence[Sample],
    permit_no_isolation: bool,
    threads: int,
) -> Designs:
    """Judge the answers of one model; equal source texts for a problem are judged once.

    Raises:
        NotEnoughData: no problem is usable.
        NotIsolated: programs cannot be isolated here, and the options do not permit that.
    """
    unusable = {problem.name: problem.unusable for problem in checked.problems}
    require_usable(unusable)
    answers = {(sample.name, sample.number): sample for sample in samples}
    texts = {
        (problem.name, number): extract(problem, sample.text or "")
        for problem in problems
        for (name, number), sample in sorted(answers.items())
        if name == problem.name and not unusable[name]
    }
    by_name = {problem.name: problem for problem in problems}
    distinct = sorted({(name, text) for (name, _), text in texts.items()})
    containment = Containment(permit_no_isolation)
    print(f"generated programs: {containment.isolation}", flush=True)
    judgements: dict[tuple[str, str], Judgement] = {}
    with TemporaryDirectory() as runtime, ThreadPoolExecutor(threads) as pool:
        verilator = Verilator(containment, Path(runtime), threads)
        found = pool.map(lambda one: judge(by_name[one[0]], one[1], verilator), distinct)
        for key, judgement in zip(distinct, found, strict=True):
            judgements[key] = judgement
            progress.report(len(judgements), len(distinct))
        facts = SimulatorFacts.of(verilator)
    passing = [(name, text) for name, text in distinct if judgements[name, text].passes and name in checked.synthesized]
    syntheses: dict[tuple[str, str], Synthesis] = {}
    if passing:
        yosys = Yosys(containment, verilator)
        with ThreadPoolExecutor(threads) as pool:
            results = pool.map(lambda one: yosys.judge(by_name[one[0]], one[1]), passing)
            syntheses = dict(zip(passing, results, strict=True))

    def attempts(problem: Problem) -> list[Attempt]:
        return [
            _attempt(answers[name, number], text, judgements[name, text], syntheses.get((name, text)))
            for (name, number), text in sorted(texts.items())
            if name == problem.name
        ]

    return Designs(
        designs=[
            Design(
                **problem.model_dump(include={"name", "title", "category", "difficulty", "prompt", "golden"}),
                digest=problem.digest,
                unusable=unusable[problem.name],
                attempts=attempts(problem),
            )
            for problem in problems
        ],
        simulator=facts,
        isolation=containment.isolation,
        extraction_rule=rule_digest(),
        second=checked.second,
        compared=checked.compared,
        disagreements=checked.disagreements,
        mutants=sum(problem.mutants for problem in checked.problems),
        survivors=[f"{problem.name}/{name}" for problem in checked.problems for name in problem.survivors],
        synthesizer=checked.synthesizer,
        syntheses=checked.syntheses,
    )


def _attempt(sample: Sample, text: str, judgement: Judgement, synthesis: Synthesis | None) -> Attempt:
    no_room = Judgement(rung="nothing", reason="no_room")
    return Attempt(
        number=sample.number,
        prompt=sample.prompt,
        answer=sample.text,
        extracted=text,
        finished=sample.finished,
        tokens=sample.tokens,
        judgement=no_room if sample.text is None else judgement,
        synthesis=None if sample.text is None else synthesis,
    )
