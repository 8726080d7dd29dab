"""Progress of long steps, as lines that the runner parses and people can read."""

import json
import os
import sys

MARK = "@progress "


def report(done: int, total: int, **values: float | str) -> None:
    """Report the progress of a step.

    Args:
        done: finished units (training steps, rows, bytes).
        total: units in all.
        values: what else is worth showing, e.g. ``loss=3.21``; floats are rounded to four digits.
    """
    shown = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
    if os.environ.get("TAPEOUT_RUNNER"):
        print(MARK + json.dumps({"done": done, "total": total, **shown}), flush=True)
    else:
        details = "  ".join(f"{name} {value}" for name, value in shown.items())
        print(f"{done}/{total}  {details}", file=sys.stderr, flush=True)
