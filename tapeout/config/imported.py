"""Instruction data that others made: which source is in which format, and what of it is taken.

A source under ``imported.rows`` becomes the artifact ``imported/<name>``: its rows formatted and split, with a report
that counts everything that was left out; and ``encoded/<name>``: the same as token ids with loss masks.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section
from tapeout.config.sources import SourceName

SIDES = ("train", "validation", "test")


class Shares(Section):
    """Shares of training, validation and test rows, and who keeps company with whom (faults F39, F40, F41)."""

    seed: int = Field(1234, description="Seed of the choice.")
    validation: float = Field(0.15, ge=0, lt=1, description="Share of the rows that validate.")
    test: float = Field(0.05, ge=0, lt=1, description="Share of the rows that test.")
    counts: Literal["stable", "exact"] = Field(
        "stable",
        description="stable: a row's side depends on its group alone, and the counts come near the shares. exact: the "
        "counts are those of the original script, in each category as in all, and a row more may move single others.",
    )
    equal_rows: Literal["drop", "keep"] = Field(
        "drop", description="Rows equal to another: left out and counted, or kept beside it, on the same side."
    )
    near_duplicates: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Questions of which at least this part of the runs of five characters is the same (Jaccard) stay "
        "on one side; 1 keeps only equal ones together.",
    )

    @property
    def train(self) -> float:
        """Share of the rows that train."""
        return 1 - self.validation - self.test

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test must leave something to train on")
        return self


class Import(Section):
    """What all formats have in common."""

    files: str = Field("*", description="Which files of the source are read: a pattern of their paths in it.")
    bad_rows: Literal["stop", "drop"] = Field(
        "stop", description="What a row that cannot be used does: stop the step by name, or be left out and counted."
    )
    longest_row: int = Field(
        10_000_000,
        ge=100,
        le=2**30,
        description="Most bytes of a line of JSON Lines and of a field of CSV; a longer one cannot be used.",
    )
    split: Shares = Shares()


class Columns(Section):
    """Names of the fields of a row of instruction and response; null where the rows have no such field."""

    instruction: str = Field("instruction", description="What is asked or ordered.")
    context: str | None = Field("context", description="Text that it is about; may be empty in a row.")
    response: str = Field("response", description="What is to be answered.")
    category: str | None = Field("category", description="Kind of the row; the split keeps their proportions.")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        named = [name for name in (self.instruction, self.context, self.response) if name is not None]
        if len(set(named)) < len(named):
            raise ValueError("instruction, context and response must be three fields")
        return self


class PromptResponse(Import):
    """Rows of instruction, context, response and category, as Dolly's: JSONL, JSON, CSV or parquet."""

    format: Literal["prompt_response"] = Field(description="Which format this is.")
    fields: Columns = Field(Columns(), description="What the fields are called in the file.")
    category: str = Field("instruction", min_length=1, description="Category of rows that have no field of it.")
    separator: str = Field("\n\n", description="What stands between instruction and context.")
    seed: int = Field(1234, description="Seed of the coin that decides whether the context comes first (F36).")
    strip_citations: bool = Field(False, description="Remove citation marks such as [3] from contexts (F37).")


class SelfInstruct(Import):
    """Tasks of self-instruct: an instruction and its instances, each with input and output. A task is a group."""

    format: Literal["self_instruct"] = Field(description="Which format this is.")
    separator: str = Field("\n\n", description="What stands between instruction and input; the instruction leads.")


class Squad(Import):
    """Questions about paragraphs: SQuAD v1.1 and v2.0, XQuAD; JSON as published, or flat rows (JSONL, parquet).

    An article is a group.
    """

    format: Literal["squad"] = Field(description="Which format this is.")
    template: str = Field(
        "config/templates/alpaca_squad.txt",
        description="File of the prompt, with {context} and {question}; the answer follows its last byte (F71).",
    )
    impossible: Literal["drop", "answer"] = Field(
        "drop", description="What becomes of a question without answer: it is left out and counted, or answered so."
    )
    impossible_answer: str = Field(
        "The context does not say.", pattern=r"\S", description="Answer to a question that has none."
    )


class Chat(Import):
    """What all formats of conversations have in common."""

    system: str = Field(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions.",
        description="System message of conversations that bring none.",
    )
    last_user_turn: Literal["cut", "keep", "drop"] = Field(
        "cut",
        description="A conversation that ends with the user: cut that turn, keep it, drop the conversation (F53).",
    )


class ChatTrees(Chat):
    """Trees of OpenAssistant: every path from the root to a leaf is a conversation, a tree is a group (F53).

    What is dropped takes along what was said after it.
    """

    format: Literal["chat_trees"] = Field(description="Which format this is.")
    languages: tuple[str, ...] = Field(
        (), description="Languages that are taken, as the messages name them; all if empty."
    )
    deleted: Literal["drop", "keep"] = Field("drop", description="Messages that were deleted.")
    synthetic: Literal["drop", "keep"] = Field("drop", description="Messages that a model wrote (trap D13).")
    not_ready: Literal["drop", "keep"] = Field("drop", description="Trees that are not ready for export.")
    labels: tuple[str, ...] = Field(
        ("quality", "toxicity", "humor", "creativity"),
        description="Labels of an answer in its label string, in this order, as round(4 x value).",
    )


class Messages(Chat):
    """Rows with ``messages``: role (system, user, assistant) and content, as Hugging Face chat data sets have them."""

    format: Literal["messages"] = Field(description="Which format this is.")
    field: str = Field("messages", description="Name of the list of messages.")


class ShareGpt(Chat):
    """Rows with ``conversations``: from (system, human, gpt) and value."""

    format: Literal["sharegpt"] = Field(description="Which format this is.")
    field: str = Field("conversations", description="Name of the list of turns.")


Format = Annotated[
    PromptResponse | SelfInstruct | Squad | ChatTrees | Messages | ShareGpt, Field(discriminator="format")
]


class Prompt(Section):
    """How conversations become text (F56)."""

    tokens: Literal["aligner", "extra_id", "template"] = Field(
        "aligner",
        description="Marks of the turns: control characters 0, 17 and 18 as in NeMo-Aligner, <extra_id_0> to "
        "<extra_id_2> as in the ChipNeMo paper, or the chat template of a model.",
    )
    chat_template: str | None = Field(
        None, description="File with the model's chat template (Jinja), where tokens is template."
    )

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if (self.tokens == "template") != (self.chat_template is not None):
            raise ValueError("chat_template and tokens: template belong together")
        return self


class Imported(Section):
    """Instruction data that others made."""

    rows: dict[SourceName, Format] = Field({}, description="Format and options of each source, by its name.")
    train: tuple[SourceName, ...] = Field(
        (), description="Those of them that the fine-tuning trains and validates on, beside the questions about RTL."
    )
    prompt: Prompt = Prompt()

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := sorted(set(self.train) - set(self.rows)):
            raise ValueError(f"train names {', '.join(unknown)}, which rows does not have")
        if len(set(self.train)) < len(self.train):
            raise ValueError("train names a source twice")
        return self


class ImportJob(Section):
    """Parameters of the rule ``imported``: one source's format, name and licence, and its template's text."""

    source: SourceName = Field(description="Name of the source.")
    licence: str = Field(description="Its licence, from the sources file.")
    rows: Format = Field(description="Its format and options.")
    template: str | None = Field(description="Text of the prompt's template, where the format has one.")


class EncodeJob(Section):
    """Parameters of the rule ``encoded``: how rows become token ids."""

    prompt: Prompt = Field(description="Marks of the turns.")
    chat_template: str | None = Field(description="Text of the chat template.")
    template: str = Field(description="Prompt template of single questions (sft.template).")
    seq_length: int = Field(ge=8, description="Most tokens of a row (sft.seq_length).")
