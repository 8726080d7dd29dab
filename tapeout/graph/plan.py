"""The plan in words: what will run, what is there already, and roughly how long it takes."""

from tapeout.graph.settle import Decision
from tapeout.graph.words import size
from tapeout.graph.workspace import State

WORDS = {
    State.CURRENT: "current",
    State.RESTORE: "restored",
    State.BUILD: "to build",
    State.WAITING: "to build or cut off",
}

SHOWN = 3
"""Inputs named behind an artifact that waits."""


def describe(
    decisions: list[Decision], seconds: dict[str, float], targets: list[str], real: bool, forced: list[str]
) -> str:
    """The plan as a few lines.

    Args:
        decisions: in dependency order.
        seconds: by artifact, how long its build takes, in seconds on the machine where it was last built.
        targets: what the run is for.
        real: whether it will run; a dry run says so.
        forced: artifacts that the user wants built again; they are compared and what follows is not built.
    """
    counts = {state: sum(1 for decision in decisions if decision.state is state) for state in State}
    again = [d for d in decisions if d.recipe.artifact in forced and d.state in (State.CURRENT, State.RESTORE)]
    busy = [d for d in decisions if d.state in (State.BUILD, State.WAITING) or d in again]
    total = sum(seconds[decision.recipe.artifact] for decision in busy)
    parts = [f"{counts[state]} {WORDS[state]}" for state in State if counts[state]]
    fetched = [decision.download for decision in decisions if decision.download is not None]
    if fetched:
        parts.insert(bool(counts[State.CURRENT]) + 1, f"{len(fetched)} of them from the remote ({size(sum(fetched))})")
    parts += [f"{len(again)} of them to build again and compare"] if again else []
    lines = [f"{'Plan' if real else 'Plan (dry run)'} for {', '.join(targets)}: {', '.join(parts)}"]
    if not busy:
        return lines[0] + "; nothing to do."
    known = f"about {duration(total)} one after another" if total else "how long is not known yet"
    lines[0] += f"; {'at most ' if total and counts[State.WAITING] else ''}{known}."
    width = max(len(decision.recipe.artifact) for decision in busy)
    for decision in busy:
        name = decision.recipe.artifact
        first, rest = decision.waits_for[:SHOWN], len(decision.waits_for) - SHOWN
        why = f"  after {', '.join(first)}{f' and {rest} more' if rest > 0 else ''}" if first else ""
        lines.append(f"  {name:{width}}  {duration(seconds[name]) if seconds[name] else '?':>8}{why}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A length of time as a person says it."""
    if seconds < 1:
        return "< 1 s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
