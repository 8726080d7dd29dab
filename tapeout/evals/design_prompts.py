"""Prompts for designs, and a model's answers to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tapeout import progress
from tapeout.config.task_options import AskedProblems, SamplingOptions
from tapeout.errors import TapeoutError
from tapeout.evals.task import Sample, Sampler
from tapeout.simulation.prompts import Asked, prompts_path, read_prompts

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel
    from tapeout.evals.questions import Question


class UnfitPrompt(TapeoutError):
    """A model cannot be asked a problem in its own prompt template."""


MIN_ROOM = 16
"""Fewest tokens that an answer must have room for; an empty module needs about as many."""


@dataclass(frozen=True)
class Prompt:
    """A problem as a model is given it.

    Attributes:
        name: of the problem.
        text: description, and the header of the module where an answer continues it.
        ids: token ids, in the model's own template where it has one.
        question: the same, where the template decides what ends an answer.
    """

    name: str
    text: str
    ids: Sequence[int]
    question: "Question | None"

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return sha256(self.text.encode()).hexdigest()


def prompts_of(model: "LoadedModel", problems: Sequence[Asked]) -> list[Prompt]:
    """Return the problems as prompts: by the model's own template where it has one, else as plain text.

    Raises:
        UnfitPrompt: the template cannot render a problem.
    """
    from tapeout.data.encode.chat import Unfit
    from tapeout.evals.questions import encode_question, question_encoder

    texts = {problem.name: problem.text for problem in problems}
    if not model.has_template or model.encoding is None:
        encode = model.encoder.encode
        ids = {name: [*model.encoder.bos_ids, *encode(text)] for name, text in texts.items()}
        return [Prompt(name, text, ids[name], None) for name, text in texts.items()]
    # too long ones are left out later
    room = max((len(model.encoder.encode(text)) for text in texts.values()), default=0) + model.facts.context + 1
    encoding = model.encoding.model_copy(update={"seq_length": room})
    encoder, prompts = question_encoder(model.encoder, encoding, room), []
    for name, text in texts.items():
        try:
            question = encode_question(encoder, {"digest": name, "input": text, "output": "endmodule"})
        except Unfit as error:
            raise UnfitPrompt(
                f"The problem {name} cannot be asked in the model's prompt template: {error}.",
                "Reword the problem, or leave it out of the source of its set.",
            ) from error
        prompts.append(Prompt(name, text, question.prompt, question))
    return prompts


def generate(model: "LoadedModel", problems: Sequence[Asked], options: SamplingOptions) -> list[Sample]:
    """Return the greedy answer and the sampled answers to each problem."""
    from tapeout.evals.answers import answer_text
    from tapeout.evals.generation import greedy
    from tapeout.evals.sampling import NucleusSampling

    prompts = prompts_of(model, problems)
    fitting = [prompt for prompt in prompts if len(prompt.ids) + MIN_ROOM <= model.facts.context]
    numbered = [(prompt, number) for prompt in fitting for number in range(1, options.samples + 1)]
    seeds = [f"{options.seed}\n{prompt.digest}\n{number}" for prompt, number in numbered]
    ends = frozenset[int]({model.encoder.eos}).union(*(p.question.stop_ids for p in fitting if p.question))
    total = len(fitting) + len(numbered)
    common = (ends, model.encoder.size, options.max_new_tokens, model.facts.context, options.generation_batch_rows)

    def report(done: int) -> None:
        progress.report(done, total, now="answers")

    tokens = greedy(model.network, [prompt.ids for prompt in fitting], *common, report)
    choose = NucleusSampling(seeds, options.temperature, options.top_p)
    tokens += greedy(
        model.network,
        [prompt.ids for prompt, _ in numbered],
        *common,
        lambda done: report(len(fitting) + done),
        choose,
    )
    generated = dict(
        zip(
            [*((prompt.name, 0) for prompt in fitting), *((p.name, number) for p, number in numbered)],
            tokens,
            strict=True,
        )
    )
    samples = []
    for prompt in prompts:
        for number in range(options.samples + 1):
            text, finished, count = None, False, 0
            if (answer := generated.get((prompt.name, number))) is not None:
                count = len(answer)
                if prompt.question is not None:
                    text, finished = answer_text(model.encoder, prompt.question, answer, ends)
                else:
                    finished = answer[-1] in ends
                    text = model.encoder.decode(list(answer[:-1] if finished else answer))
            samples.append(
                Sample(
                    name=prompt.name, number=number, prompt=prompt.digest, text=text, tokens=count, finished=finished
                )
            )
    return samples


class DesignSampler(Sampler[AskedProblems]):
    """Answers to the problems of one part of a set."""

    options = AskedProblems

    def files(self, options: AskedProblems, part: int) -> dict[str, tuple[str, str]]:
        """Return the prompts of a part."""
        return {"prompts": (options.problems, prompts_path(part))}

    def generate(self, model: "LoadedModel", files: Mapping[str, Path], options: AskedProblems) -> list[Sample]:
        """Answer each problem once greedily, and ``samples`` times by sampling.

        Raises:
            UnfitPrompt: the model's prompt template cannot render a problem.
        """
        return generate(model, read_prompts(files["prompts"]), options)


SAMPLER = DesignSampler()
