"""Plots of the report: inline SVG that takes its colours from the page, so that both themes are legible.

Matplotlib draws with marker colours that no palette uses; they are replaced by CSS variables. With a fixed hash salt
and without metadata the bytes depend on the numbers alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tapeout.evals.section import Comparison, Estimate, Plot
from tapeout.evals.wording import number, percent, value_of
from tapeout.report.evaluation.inputs import Step, TokenizerReport, TrainLog

INK, MUTED, GRID = "#010101", "#020202", "#030303"
COLOURS = 6
"""Number of colours for models in style.css; with more models, colours repeat with another marker."""
MODEL_COLOURS = [f"#0404{number:02x}" for number in range(1, COLOURS + 1)]
MARKERS = "osD^vP*X"
LINES = ("-", "--", ":", "-.")
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    **{colour: f"--model-{number}" for number, colour in enumerate(MODEL_COLOURS, start=1)},
}
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib; its widths decide the layout
    "svg.hashsalt": "tapeout",
    "svg.fonttype": "none",
    "font.size": 9,
    "text.parse_math": False,  # a name such as $display is no formula
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "ytick.left": False,
    "text.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_WIDTH = 5.4


@contextmanager
def _style(**changed: Any) -> Iterator[None]:
    """Set the library's defaults and the style of the pages, which override a matplotlibrc file."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | changed)
        yield


def measures(plot: Plot, comparisons: Mapping[str, Comparison]) -> str:
    """Draw the plot that a task describes."""
    return _grouped(plot, comparisons) if plot.grouped else _panels(plot, comparisons)


def _panels(plot: Plot, comparisons: Mapping[str, Comparison]) -> str:
    """Draw one panel per measure, with the models as rows."""
    models = list(comparisons[next(iter(plot.panels.values()))].values)
    with _style():
        figure = Figure(figsize=(_WIDTH, 0.4 + len(plot.panels) * (0.6 + 0.25 * len(models))))
        panels = figure.subplots(len(plot.panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, name) in zip(panels, plot.panels.items(), strict=True):
            comparison = comparisons[name]
            for row, (model, estimate) in enumerate(comparison.values.items()):
                scale = 100.0 if comparison.measure.percent else 1.0
                _interval(axes, row, row, estimate, scale)
                point = (scale * estimate.value, row)
                label = value_of(comparison, model)
                axes.annotate(label, point, (0, 5), textcoords="offset points", ha="center", size=8)
            axes.set_yticks(range(len(models)), models)
            axes.set_ylim(len(models) - 0.5, -0.8)
            axes.margins(x=0.12)
            axes.grid(axis="y", visible=False)
            axes.set_title(title)
        panels[-1].set_xlabel(plot.axis)
        return _svg(figure, plot.name)


def _grouped(plot: Plot, comparisons: Mapping[str, Comparison]) -> str:
    """Draw one panel with the measures as rows, in each of them all models."""
    models = list(comparisons[next(iter(plot.panels.values()))].values)
    with _style():
        figure = Figure(figsize=(_WIDTH, 1.2 + (0.12 + 0.1 * len(models)) * len(plot.panels)))
        axes = figure.subplots()
        for index, model in enumerate(models):
            offset = 0.44 * (index / max(1, len(models) - 1) - 0.5)
            for row, name in enumerate(plot.panels.values()):
                scale = 100.0 if comparisons[name].measure.percent else 1.0
                estimate = comparisons[name].values[model]
                _interval(axes, index, row + offset, estimate, scale, model if row == 0 else None)
        axes.set_yticks(range(len(plot.panels)), list(plot.panels))
        axes.set_ylim(len(plot.panels) - 0.5, -0.5)
        if all(comparisons[name].measure.percent for name in plot.panels.values()):
            axes.set_xlim(-3, 103)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(plot.axis)
        figure.legend(loc="outside upper right", ncols=3, handletextpad=0.3, columnspacing=1.2)
        return _svg(figure, plot.name)


def losses(logs: Mapping[str, TrainLog], models: Sequence[str]) -> str:
    """Draw the training loss of each step, its running mean, and where there are any validation and selected step."""
    with _style(**{"axes.spines.left": True, "ytick.color": MUTED}):
        figure = Figure(figsize=(_WIDTH, 2.0 * len(logs)))
        panels = figure.subplots(len(logs), 1, squeeze=False)[:, 0]
        for axes, (model, log) in zip(panels, logs.items(), strict=True):
            colour = MODEL_COLOURS[models.index(model) % COLOURS]
            steps, values = [step.step for step in log.steps], [step.loss for step in log.steps]
            axes.plot(steps, values, color=colour, alpha=0.35, linewidth=0.8, label="each step")
            axes.plot(steps, running_mean(log.steps), color=colour, linewidth=1.6, label="running mean")
            if log.validation:
                points = [step.step for step in log.validation], [step.loss for step in log.validation]
                axes.plot(*points, "o", color=INK, markersize=3.5, label="validation")
            if log.selection is not None:
                axes.axvline(log.selection.step, color=INK, linewidth=0.8, linestyle=":", label="selected step")
            axes.set_title(f"Training of {model}")
            axes.set_ylabel("nats per token")
            axes.legend(loc="upper right", fontsize=8)
        panels[-1].set_xlabel("step")
        return _svg(figure, "loss")


def loss_curves(logs: Mapping[str, TrainLog]) -> str:
    """Draw the running mean of the training loss, and the validation losses, of several trainings in one panel."""
    with _style(**{"axes.spines.left": True, "ytick.color": MUTED}):
        figure = Figure(figsize=(_WIDTH, 2.6 + 0.17 * len(logs)))
        axes = figure.subplots()
        for index, (name, log) in enumerate(logs.items()):
            colour, line = MODEL_COLOURS[index % COLOURS], LINES[index // COLOURS % len(LINES)]
            steps = [step.step for step in log.steps]
            axes.plot(steps, running_mean(log.steps), line, color=colour, linewidth=1.6, label=name)
            points = [step.step for step in log.validation], [step.loss for step in log.validation]
            axes.plot(*points, MARKERS[index % len(MARKERS)], color=colour, markersize=4)
        axes.set_ylabel("nats per token")
        axes.set_xlabel("step")
        figure.legend(loc="outside lower left", fontsize=8)
        return _svg(figure, "loss")


def tokens_per_byte(report: TokenizerReport) -> str:
    """Draw the tokens per byte of test text before and after the extension of the tokenizer."""
    with _style():
        figure = Figure(figsize=(_WIDTH, 2.3))
        axes = figure.subplots()
        positions, labels = [], []
        for group, (corpus, text) in enumerate(report.test.items()):
            before, after = text.tokens_before / text.bytes, text.tokens_after / text.bytes
            for bar, value in enumerate((before, after)):
                position = group * 2.4 + bar
                axes.barh(position, value, height=0.8, color=MODEL_COLOURS[bar])
                change = "" if bar == 0 else f" ({percent(after / before - 1, signed=True)})"
                axes.annotate(
                    number(value) + change, (value, position), (4, 0), textcoords="offset points", va="center", size=8
                )
                positions.append(position)
                labels.append(f"{corpus}, {'after' if bar else 'before'}")
        axes.set_yticks(positions, labels)
        axes.invert_yaxis()
        axes.set_xlim(0, axes.get_xlim()[1] * 1.25)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("tokens per byte (lower is better)")
        return _svg(figure, "tokens")


def running_mean(steps: Sequence[Step]) -> list[float]:
    """Return the mean loss over the last twentieth of the run's steps (at least five, fewer at the start)."""
    width = max(5, len(steps) // 20)
    means = []
    for index in range(len(steps)):
        window = steps[max(0, index - width + 1) : index + 1]
        means.append(sum(step.loss for step in window) / len(window))
    return means


def _interval(axes: Axes, index: int, row: float, estimate: Estimate, scale: float, label: str | None = None) -> None:
    """Draw a value with its interval, in the colour and with the marker of the model number ``index``."""
    value, low, high = (scale * bound for bound in (estimate.value, estimate.low, estimate.high))
    axes.errorbar(
        value,
        row,
        xerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
        fmt=MARKERS[index % len(MARKERS)],
        color=MODEL_COLOURS[index % COLOURS],
        markersize=5,
        elinewidth=1.5,
        label=label,
    )


def _svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element for use inside a page; ``name`` makes its ids unique there.

    Size, fonts and joins come from the page's style; metadata and namespaces, which inline SVG does not need, are left
    out.
    """
    stream = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"(href=\"|url\()#", rf"\g<1>#{name}-", text)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r"\s*<style type=.*?</style>", "", text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
