"""Base classes of the options of evaluation tasks."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from tapeout.config.section import Section, conflict


class TaskOptions(Section):
    """Base class of the options of a task; their values are the same for every model, so that results can be paired."""


class ScoringOptions(TaskOptions):
    """Options of tasks that score given tokens."""

    score_batch_tokens: int = Field(
        4_096,
        ge=1,
        description="Tokens, padding included, in one forward pass while scoring; the last bits of a float sum depend "
        "on it.",
    )


class QuestionOptions(ScoringOptions):
    """Options of tasks that run once for each evaluated instruction set, on its test rows."""

    data: str = Field("", description="Artifact of the set; filled in for each of evaluation.sets.")


class SamplingOptions(TaskOptions):
    """Options that affect a model's answers in the first of two steps."""

    samples: int = Field(
        2, ge=0, description="Sampled answers to each prompt, n; the greedy answer is a separate one and always made."
    )
    temperature: float = Field(0.8, gt=0, description="Temperature of sampled answers; one for all of them.")
    top_p: float = Field(0.95, gt=0, le=1, description="Sampled tokens are among the likeliest with this probability.")
    seed: int = Field(1234, ge=0, description="Seed of sampled answers, together with the prompt and their number.")
    max_new_tokens: int = Field(
        160, ge=1, description="Maximum tokens of an answer; the default is for tiny models, of which none is right."
    )
    generation_batch_rows: int = Field(48, ge=1, description="Maximum answers that are generated at once.")


class SampledOptions(SamplingOptions):
    """Options of tasks in two steps: a model writes samples, which are then judged without the model."""

    pass_at: tuple[PositiveInt, ...] = Field((1, 2), description="Values of k of pass@k; at most samples.")

    @model_validator(mode="after")
    def _k_is_possible(self) -> Self:
        if self.pass_at and max(self.pass_at) > self.samples:
            raise conflict(
                f"pass_at has {max(self.pass_at)}, but there are {self.samples} samples",
                "Raise samples, or remove the value.",
                "pass_at",
                "samples",
            )
        return self


class AskedProblems(SamplingOptions):
    """Options that affect answers to the problems of a set."""

    problems: str = Field("", description="Artifact of the set; filled in for each of evaluation.problems.")


class ProblemOptions(AskedProblems, SampledOptions):
    """Options of tasks that run once for each problem set."""

    permit_no_isolation: bool = Field(
        False, description="Run generated programs with limits alone where the machine permits no isolation."
    )
