"""The report's plots: inline SVG that takes its colours from the page, so that both themes are legible.

Matplotlib draws with marker colours that no palette uses; they are replaced by CSS variables. With a fixed hash salt
and without metadata the bytes depend on the numbers alone.
"""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tapeout.evals.bootstrap import Estimate
from tapeout.report.evaluation.figures import Figures
from tapeout.report.evaluation.inputs import Step, TokenizerReport, TrainLog
from tapeout.report.page.wording import MODEL_NAMES, category, number, percent

INK, MUTED, GRID = "#010101", "#020202", "#030303"
MODEL_COLOURS = {"base": "#040404", "dapt": "#050505", "sft": "#060606"}
MARKERS = {"base": "o", "dapt": "s", "sft": "D"}
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    MODEL_COLOURS["base"]: "--base",
    MODEL_COLOURS["dapt"]: "--dapt",
    MODEL_COLOURS["sft"]: "--sft",
}
_STYLE: Any = {
    "svg.hashsalt": "tapeout",
    "svg.fonttype": "none",
    "font.size": 9,
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


def bits_per_byte(figures: Figures) -> str:
    """Bits per byte with intervals, three models on two corpora."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.1))
        panels = figure.subplots(len(figures.bits_per_byte), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (corpus, measure) in zip(panels, figures.bits_per_byte.items(), strict=True):
            for place, (model, estimate) in enumerate(measure.values.items()):
                _interval(axes, model, place, estimate, 1.0)
                label = number(estimate.value)
                axes.annotate(label, (estimate.value, place), (0, 5), textcoords="offset points", ha="center", size=8)
            _models_on_y(axes)
            axes.set_title(f"{corpus.capitalize()} text")
        panels[-1].set_xlabel("bits per byte (lower is better)")
        return _svg(figure, "bits")


def exact_match(figures: Figures) -> str:
    """Exact match by category with intervals."""
    categories = list(figures.exact_by_category)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 1.2 + 0.42 * len(categories)))
        axes = figure.subplots()
        for model, offset in zip(MODEL_NAMES, (-0.22, 0.0, 0.22), strict=True):
            for place, name in enumerate(categories):
                label = MODEL_NAMES[model] if place == 0 else None
                estimate = figures.exact_by_category[name].values[model]
                _interval(axes, model, place + offset, estimate, 100.0, label)
        axes.set_yticks(range(len(categories)), [category(name) for name in categories])
        axes.set_ylim(len(categories) - 0.5, -0.5)
        axes.set_xlim(-3, 103)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("exact answers, % (higher is better)")
        figure.legend(loc="outside upper right", ncols=3, handletextpad=0.3, columnspacing=1.2)
        return _svg(figure, "match")


def losses(logs: Mapping[str, TrainLog]) -> str:
    """Training loss of each step, its running mean, and the validation loss where there is one."""
    with mpl.rc_context(_STYLE | {"axes.spines.left": True, "ytick.color": MUTED}):
        figure = Figure(figsize=(_WIDTH, 4.0))
        for axes, (model, log) in zip(figure.subplots(len(logs), 1), logs.items(), strict=True):
            colour = MODEL_COLOURS[model]
            steps, values = [step.step for step in log.steps], [step.loss for step in log.steps]
            axes.plot(steps, values, color=colour, alpha=0.35, linewidth=0.8, label="each step")
            axes.plot(steps, running_mean(log.steps), color=colour, linewidth=1.6, label="running mean")
            if log.validation:
                points = [step.step for step in log.validation], [step.loss for step in log.validation]
                axes.plot(*points, "o", color=INK, markersize=3.5, label="validation")
            axes.set_title(f"{MODEL_NAMES[model]} training")
            axes.set_ylabel("nats per token")
            axes.legend(loc="upper right", fontsize=8)
        axes.set_xlabel("step")
        return _svg(figure, "loss")


def tokens_per_byte(report: TokenizerReport) -> str:
    """Tokens per byte of test text before and after the extension of the tokenizer."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 2.3))
        axes = figure.subplots()
        places, labels = [], []
        for group, corpus in enumerate(("domain", "general")):
            text = getattr(report.test, corpus)
            before, after = text.tokens_before / text.bytes, text.tokens_after / text.bytes
            for bar, (value, model) in enumerate(((before, "base"), (after, "dapt"))):
                place = group * 2.4 + bar
                axes.barh(place, value, height=0.8, color=MODEL_COLOURS[model])
                change = "" if bar == 0 else f" ({percent(after / before - 1, signed=True)})"
                axes.annotate(
                    number(value) + change, (value, place), (4, 0), textcoords="offset points", va="center", size=8
                )
                places.append(place)
                labels.append(f"{corpus}, {'after' if bar else 'before'}")
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.set_xlim(0, axes.get_xlim()[1] * 1.25)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("tokens per byte (lower is better)")
        return _svg(figure, "tokens")


def running_mean(steps: Sequence[Step]) -> list[float]:
    """Mean over the last twentieth of the run's steps (at least five, fewer at the start)."""
    width = max(5, len(steps) // 20)
    means = []
    for index in range(len(steps)):
        window = steps[max(0, index - width + 1) : index + 1]
        means.append(sum(step.loss for step in window) / len(window))
    return means


def _interval(axes: Axes, model: str, place: float, estimate: Estimate, scale: float, label: str | None = None) -> None:
    value, low, high = (scale * each for each in (estimate.value, estimate.low, estimate.high))
    axes.errorbar(
        value,
        place,
        xerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
        fmt=MARKERS[model],
        color=MODEL_COLOURS[model],
        markersize=5,
        elinewidth=1.5,
        label=label,
    )


def _models_on_y(axes: Axes) -> None:
    axes.set_yticks(range(len(MODEL_NAMES)), list(MODEL_NAMES.values()))
    axes.set_ylim(len(MODEL_NAMES) - 0.5, -0.8)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)


def _svg(figure: Figure, name: str) -> str:
    """Write a figure as an SVG element for use inside a page; ``name`` makes its ids unique there.

    Size, fonts and joins come from the page's style; metadata and namespaces, which inline SVG does not need, go.
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
