"""Completion of held-out Verilog: measures that small models move, which solve no whole problem yet.

A model continues the beginning of a test file: with the next line, with the name that is connected to a port, or with
any next item of a module. Continuations are stored; the syntax of items is judged by the parser when the report is
made, so no model is needed to judge them again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tapeout import progress
from tapeout.config.task_options import TaskOptions
from tapeout.data.errors import NotEnoughData
from tapeout.evals.completion_points import Kind, Point, points
from tapeout.evals.rows import read_rows
from tapeout.evals.section import Answered, Evidence, Measure, Method, Plot, Section, Table, TableRow, Unit
from tapeout.evals.task import Result, Task
from tapeout.evals.text_scores import token_f1

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

DOMAIN = "corpus/domain"
MAX_STORED_BYTES = 2_048
"""Maximum length of a file before an item: the result contains it, to be parsed."""
SEARCHED = 1_000
"""Characters before a place that are searched for in the training text."""
SHOWN = 400
"""Characters before a line or name that the result keeps, for readers of single answers."""
NEAR = 0.5
"""Minimum token F1 of a line that is not exact but a near miss."""
STRATA = {"same_name": "Ports connected to their own name", "other_name": "Ports connected to another name"}


class Options(TaskOptions):
    """Places that are completed, and the length of continuations."""

    max_points: int = Field(
        120, ge=1, description="Maximum number of places of each kind, chosen by digest, at most two in each file."
    )
    max_prefix_bytes: int = Field(
        8_192,
        ge=1,
        description="Maximum length of a file before a place. A model reads as much of it as fits into the context.",
    )
    max_line_tokens: int = Field(40, ge=1, description="Maximum length of a generated line or name.")
    max_item_tokens: int = Field(64, ge=1, description="Maximum length of a generated item.")
    generation_batch_rows: int = Field(
        60, ge=1, description="Places that are completed in one batch; the last bits of a float sum depend on it."
    )


class Completion(Result):
    """A generated line or name, and what stands in the file; ``before`` is the end of the file up to it."""

    digest: str
    source: str
    stratum: str
    before: str
    expected: str
    generated: str


class Item(Result):
    """A file up to a place between two items of a module, and its continuation by the model."""

    digest: str
    source: str
    prefix: str
    generated: str


class Completions(Result):
    """Completions of one model by kind."""

    lines: list[Completion]
    ports: list[Completion]
    items: list[Item]


def complete(
    model: "LoadedModel", places: Sequence[Point], end: str, max_new_tokens: int, batch_rows: int
) -> list[str]:
    """Continue the files greedily up to a text, the end token or ``max_new_tokens``.

    A file is encoded up to the place alone. A vocabulary with pieces that span it, such as ``(clk``, is at a
    disadvantage, the same for all models with it.

    Args:
        model: the model.
        places: the places.
        end: text that ends a continuation and is not part of it; empty if none does.
        max_new_tokens: maximum length.
        batch_rows: places in a batch.
    """
    from tapeout.evals.generation import greedy

    encoder, room = model.encoder, model.facts.context - max_new_tokens
    ends = {encoder.eos}
    if end:
        ends |= {index for index in range(encoder.size) if end.encode() in encoder.id_to_bytes(index)}
    prompts = []
    for place in places:
        ids = encoder.encode(place.prefix)
        prompts.append([*encoder.bos_ids, *ids[-max(1, room - len(encoder.bos_ids)) :]])
    generated = greedy(
        model.network,
        prompts,
        ends,
        encoder.size,
        max_new_tokens,
        model.facts.context,
        batch_rows,
        lambda done: progress.report(done, len(places), now="completions"),
    )
    texts = [encoder.decode([token for token in tokens if token != encoder.eos]) for tokens in generated]
    return [text.partition(end)[0] if end else text for text in texts]


def _places(path: Path, options: Options) -> dict[Kind, list[Point]]:
    """Return the places of each kind in the files of a corpus."""
    rows = read_rows(path, ("text", "path", "source"))
    limits: dict[Kind, int] = {
        "line": options.max_prefix_bytes,
        "port": options.max_prefix_bytes,
        "item": min(options.max_prefix_bytes, MAX_STORED_BYTES),
    }
    return {kind: points(rows, kind, options.max_points, limit) for kind, limit in limits.items()}


def is_exact(completion: Completion) -> bool:
    """Return whether a line or name is the expected one, except for whitespace around and between its words."""
    return completion.generated.split() == completion.expected.split()


class VerilogCompletionTask(Task[Options, Completions]):
    """Next lines, connections of ports, and syntax of next items, in held-out files of the domain corpus."""

    options = Options
    result = Completions

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the test split of the domain corpus."""
        return {"domain": (DOMAIN, "test.jsonl")}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> Completions:
        """Complete the files at the chosen places.

        Raises:
            NotEnoughData: no test document is Verilog with a place of any kind, or the context is too short.
        """
        longest = max(options.max_line_tokens, options.max_item_tokens)
        if model.facts.context <= longest + 1:
            raise NotEnoughData(
                f"The model's context of {model.facts.context} tokens has no room for {longest} new tokens.",
                "Lower max_line_tokens and max_item_tokens of evaluation.tasks.verilog_completion.",
            )
        places = _places(files["domain"], options)
        if not any(places.values()):
            raise NotEnoughData(
                f"No test document of {DOMAIN} is Verilog that can be completed.",
                "Give the corpus test sources with Verilog, or leave verilog_completion out of evaluation.tasks.",
            )

        def exact(kind: Kind, end: str) -> list[Completion]:
            texts = complete(model, places[kind], end, options.max_line_tokens, options.generation_batch_rows)
            return [
                Completion(
                    digest=place.digest,
                    source=place.source,
                    stratum=place.stratum,
                    before=place.prefix[-SHOWN:],
                    expected=place.expected,
                    generated=text,
                )
                for place, text in zip(places[kind], texts, strict=True)
            ]

        items = complete(model, places["item"], "", options.max_item_tokens, options.generation_batch_rows)
        return Completions(
            lines=exact("line", "\n"),
            ports=exact("port", ")"),
            items=[
                Item(digest=place.digest, source=place.source, prefix=place.prefix, generated=text)
                for place, text in zip(places["item"], items, strict=True)
            ],
        )

    def texts(self, files: Mapping[str, Path], options: Options) -> dict[str, str]:
        """Return what a model reads last before each place, with the text that stands there."""
        places = _places(files["domain"], options)
        return {one.digest: one.prefix[-SEARCHED:] + one.expected for kind in places.values() for one in kind}

    def answered(self, result: Completions) -> dict[str, Answered]:
        """Return the continuations; without items of files that do not parse themselves."""
        from tapeout.evals.item_syntax import has_next_item, is_correct

        kinds = {"next line": result.lines, "connection of a port": result.ports}
        found = {one.digest: _answered(one, category) for category, places in kinds.items() for one in places}
        for one in result.items:
            if is_correct(one.prefix):
                parses = has_next_item(one.prefix, one.generated)
                found[one.digest] = Answered(
                    asked=one.prefix,
                    expected="",
                    answer=one.generated,
                    kind="exact" if parses else "failure",
                    category="next item",
                    source=one.source,
                    label="parses" if parses else "syntax_error",
                    code=one.generated,
                )
        return found

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of prompts and continuations of all kinds."""
        return options.max_points * (3.0 * context + 2 * options.max_line_tokens + options.max_item_tokens)

    def measure(self, result: Completions, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return the scores of lines and names, and the fraction of items that parse, of each kind with a place."""
        from tapeout.evals.item_syntax import has_next_item, is_correct

        lines = [Unit(one.digest, float(is_exact(one))) for one in result.lines]
        similar = [Unit(one.digest, token_f1(one.generated, one.expected)) for one in result.lines]
        ports = [Unit(one.digest, float(is_exact(one)), 1.0, one.stratum) for one in result.ports]
        items = [
            Unit(one.digest, float(has_next_item(one.prefix, one.generated)))
            for one in result.items
            if is_correct(one.prefix)
        ]
        measures = [
            (_fraction("next_line", "Next line of Verilog, exact", lines), lines),
            (_fraction("next_line_f1", "Next line of Verilog, token F1", similar, "bootstrap"), similar),
            (_fraction("port", "Connection of a port, exact", ports), ports),
            (_fraction("syntax", "Next item of a module parses", items), items),
        ]
        return [(measure, units) for measure, units in measures if units]

    def describe(self, evidence: Evidence[Completions]) -> Section:
        """Describe a table and a plot of all kinds."""
        labels = {
            "completion.next_line": "Next line, exact, %",
            "completion.next_line_f1": "Next line, token F1, %",
            "completion.port": "Connection of a port, exact, %",
            **{f"completion.port.{stratum}": f"{title}, %" for stratum, title in STRATA.items()},
            "completion.syntax": "Next item of a module parses, %",
        }
        shown = {name: label for name, label in labels.items() if name in evidence.comparisons}
        return Section(
            title="Completion of held-out Verilog",
            tables=[Table("Measure", [TableRow(label, [name]) for name, label in shown.items()])],
            plots=[
                Plot(
                    name="completion",
                    title="Completion of held-out Verilog",
                    caption="Greedy decoding from the beginning of a test file",
                    description="Exact lines and names, and items that parse, by model",
                    axis="completions, % (higher is better)",
                    panels={label.removesuffix(", %"): name for name, label in shown.items()},
                    grouped=True,
                )
            ],
            methods=METHODS,
        )


def _answered(one: Completion, category: str) -> Answered:
    """Return a line or name; of lines, a near miss has half of the tokens."""
    is_near = category == "next line" and token_f1(one.generated, one.expected) >= NEAR
    return Answered(
        asked=one.before,
        expected=one.expected,
        answer=one.generated,
        kind="exact" if is_exact(one) else "near miss" if is_near else "failure",
        category=category,
        source=one.source,
    )


def _fraction(
    part: str, label: str, units: Sequence[Unit], interval: Literal["wilson", "bootstrap"] = "wilson"
) -> Measure:
    return Measure(
        name=f"completion.{part}",
        label=label,
        unit="places",
        data=DOMAIN,
        lower_is_better=False,
        total=len(units),
        percent=True,
        interval=interval,
        change="points",
        by_stratum=part == "port",
    )


METHODS = (
    Method(
        "Completion of Verilog",
        "The model reads the beginning of a test file, as much of its end as fits into the context, and continues it "
        "greedily. Next line: the fraction of lines that are equal except for whitespace, and the mean of the F1 of "
        "their words and other characters, which moves before any line is right. Connection of a port: after "
        "the name of the port and the parenthesis, the fraction of connected names that are equal; the names of port "
        "and signal are often the same, so the page has both cases. Places are chosen by a hash of the text, at most "
        "two in a file, outside of comments and strings.",
    ),
    Method(
        "Next item parses",
        "Between two items of a module the model writes what it likes. It counts if some beginning of what it wrote, "
        "up to a semicolon or a closing keyword, makes a file without syntax errors together with the file so far and "
        "endmodule. Only syntax is judged, not sense; files that have errors of their own, such as macros that are "
        "defined elsewhere, are left out.",
    ),
)

TASK = VerilogCompletionTask()
