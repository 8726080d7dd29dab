"""Training losses of the same model in two reports, over each other, as SVG.

The page is written by a command line that must start fast in a small environment, so no plotting library draws it.
"""

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

from markupsafe import Markup, escape

from tapeout.evals.wording import number
from tapeout.report.evaluation.inputs import Step, TrainLog

BINS = 100
"""Points of a line: each is the mean loss of one in so many parts of the training."""
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 520, 190, 48, 24, 8


def points_of(steps: Sequence[Step], bins: int = BINS) -> list[tuple[float, float]]:
    """Return the mean step and the mean loss of each part of a training, in order."""
    last = steps[-1].step
    parts = groupby(steps, key=lambda step: (step.step - 1) * bins // last)
    return [
        (fmean(one.step for one in own), fmean(one.loss for one in own)) for _, part in parts for own in [list(part)]
    ]


def draw(title: str, logs: Sequence[tuple[str, TrainLog]]) -> Markup:
    """Return the losses of trainings in one panel.

    Args:
        title: what is drawn.
        logs: name and log of each training; line ``n`` has the colour of the class ``c-n``, from 1.
    """
    lines = [(name, points_of(log.steps)) for name, log in logs]
    every = [point for _, points in lines for point in points]
    last, low, high = max(step for step, _ in every), min(loss for _, loss in every), max(loss for _, loss in every)
    span = high - low or 1.0

    def place(step: float, loss: float) -> str:
        x = LEFT + (WIDTH - LEFT - 4) * step / last
        return f"{x:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / span:.1f}"

    ends = [f"{name} from {number(points[0][1])} to {number(points[-1][1])}" for name, points in lines]
    description = f"Loss in nats per token by step: {'; '.join(ends)}."
    axis = HEIGHT - BOTTOM
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}. {description}")}">',
        f'<path d="M{LEFT},{TOP}V{axis}H{WIDTH}" fill="none" stroke="currentColor" opacity="0.4"/>',
        '<g fill="currentColor" font-size="11" text-anchor="end">',
        *(f'<text x="{LEFT - 6}" y="{y}">{number(loss, 2)}</text>' for y, loss in ((TOP + 8, high), (axis, low))),
        f'<text x="{WIDTH}" y="{HEIGHT - 8}">step {last:.0f}</text></g>',
        *(
            f'<polyline class="c-{index}" points="{" ".join(place(*point) for point in points)}" fill="none" '
            'stroke="var(--colour)" stroke-width="1.6"/>'
            for index, (_, points) in enumerate(lines, start=1)
        ),
        "</svg>",
    ]
    return Markup("".join(parts))
