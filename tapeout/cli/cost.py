"""``tapeout cost``: what a run would do and take, before it is paid."""

from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.plan import WORDS, duration
from tapeout.graph.workspace import State


def cost(project: Project, as_json: bool) -> int:
    """Show each step that would run; returns 0 if none would, else 1.

    Times are those recorded with the same rule and parameters, else what the rule says; a step that waits for others is
    counted as if it ran, so that the sums are the most that the run can take.
    """
    seconds = project.layer.seconds(project.recipes)
    threads = project.layer.threads(project.recipes)
    busy = [found for found in project.decisions.values() if found.state in (State.BUILD, State.WAITING)]
    steps: list[dict[str, Any]] = [
        {
            "artifact": found.recipe.artifact,
            "state": found.state,
            "waits_for": list(found.waits_for),
            "seconds": seconds[found.recipe.artifact],
            "cpu_hours": seconds[found.recipe.artifact] * threads[found.recipe.artifact] / 3600,
        }
        for found in busy
    ]
    counts = {state: sum(1 for found in project.decisions.values() if found.state is state) for state in State}
    value: dict[str, Any] = {
        "counts": {str(state): count for state, count in counts.items()},
        "steps": steps,
        "at_most": {"seconds": sum(step["seconds"] for step in steps), "cpu_hours": sum(s["cpu_hours"] for s in steps)},
    }
    if not steps:
        output.show(value, as_json, "Nothing would run.")
        return 0
    rows = [[s["artifact"], WORDS[s["state"]], duration(s["seconds"]), f"{s['cpu_hours']:.3f}"] for s in steps]
    rows.append(["at most", "", duration(value["at_most"]["seconds"]), f"{value['at_most']['cpu_hours']:.3f}"])
    output.show(value, as_json, output.table(["artifact", "would be", ">time", ">CPU hours"], rows))
    return 1
