"""``tapeout why``: what changed since an artifact was made, and where the change began; or why nothing runs."""

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.errors import TapeoutError
from tapeout.graph.errors import NotWritable
from tapeout.graph.identity.action import Reference
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import read_run
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.explain import Comparison, Row, causes, record_definitions, table
from tapeout.graph.store.action_index import ActionIndex
from tapeout.graph.workspace import State

LONGEST = 120
"""Characters of a value in a table; JSON has all."""


class NotInRun(TapeoutError):
    """A named run does not hold an artifact, or the store has forgotten how it was made."""


def why(project: Project, artifact: str, against: str, as_json: bool) -> int:
    """Explain one artifact; returns 0 if it is as it was, 1 if something differs or is to be done.

    Args:
        project: today's code and configuration.
        artifact: its name.
        against: a named run to compare with; empty for what lies in ``results/``.
        as_json: print JSON.

    Raises:
        NoProject: no rule makes an artifact of that name.
        UnknownName: there is no run of that name.
        NotInRun: see there.
    """
    decision, store = project.decision(artifact), project.workspace.store
    with suppress(NotWritable):
        for recipe in project.recipes.values():
            record_definitions(store, recipe, project.layer.environment(recipe))
    makers = ActionIndex(store)
    known = read_run(project.workspace, against).artifacts if against else _realised(project)
    entry = makers.entries.get(known.get(artifact, ""))
    if entry is None and against:
        raise NotInRun(f"Run {against} does not say how {artifact} was made.", "Name another run: tapeout runs")
    old, current = entry["action"] if entry is not None else None, project.current_actions
    found = causes(makers, artifact, old, current, known) if old is not None else []
    rows = table(old, current[artifact], _inputs(project, decision), found, store) if old is not None else []
    began = list({cause.artifact: cause for cause in reversed(found)}.values())[::-1]
    changed = [row for row in rows if row.result is not Comparison.SAME]
    if against:
        sentence = _against(artifact, against, changed)
    else:
        sentence = _sentence(decision, artifact in known, old is not None)
    value = {
        "artifact": artifact,
        "against": against or None,
        "state": decision.state,
        "sentence": sentence,
        "rows": [asdict(row) for row in rows],
        "changes": [
            {"kind": row.kind, "name": row.name, "old": row.old, "new": row.new}
            for row in changed
            if row.result is Comparison.CHANGED
        ],
        "began": [asdict(cause) for cause in began],
    }
    parts: list[Any] = [sentence]
    if rows:
        shown = [[row.kind, row.name, _was(row), _now(row), ", ".join(row.began)] for row in rows]
        columns = ["what", "name", "was", "is now", *(["began at"] if any(row.began for row in rows) else [])]
        parts += ["", output.table(columns, [line[: len(columns)] for line in shown])]
    for cause in began:
        if cause.artifact != artifact:
            lines = [[change.kind, change.name, _short(change.old), _short(change.new)] for change in cause.changes]
            parts += ["", f"Began at {cause.artifact}; the way: {' <- '.join(cause.path)}"]
            parts.append(output.table(["what", "name", "was", "is now"], lines))
    output.show(value, as_json, *parts)
    return 1 if changed or (not against and decision.state is not State.CURRENT) else 0


def _realised(project: Project) -> dict[str, str]:
    """The actions that made what lies in ``results/``."""
    found = {name: project.workspace.manifest(name) for name in project.decisions}
    return {name: manifest.action for name, manifest in found.items() if manifest is not None}


def _inputs(project: Project, decision: Decision) -> dict[str, Any]:
    """Today's inputs of a step; what is to be built has no digest yet."""

    def manifest(name: str) -> Manifest | None:
        needed = project.decisions[name]
        if needed.action is None or needed.state not in (State.CURRENT, State.RESTORE):
            return None
        beside = project.workspace.manifest(name)
        same = beside is not None and beside.action == needed.action.digest
        return beside if same else project.workspace.store.find(needed.action.digest)

    def resolved(reference: Reference) -> dict[str, Any]:
        found = manifest(reference.artifact)
        digest = found.digest(reference.path) if found is not None else None
        return {"artifact": reference.artifact, "path": reference.path, "digest": digest}

    return {
        name: [resolved(item) for item in value] if isinstance(value, list) else resolved(value)
        for name, value in decision.recipe.inputs.items()
    }


def _sentence(decision: Decision, there: bool, known: bool) -> str:
    artifact, state = decision.recipe.artifact, decision.state
    if state is State.CURRENT:
        return f"{artifact} is current: made by this code, with these parameters, packages and inputs. Nothing runs."
    if state is State.RESTORE:
        return f"{artifact} comes from the store: this action was carried out before. No job runs."
    if state is State.WAITING:
        waits = f"{artifact} waits for {', '.join(decision.waits_for)}"
        return f"{waits}; it is built only if their bytes change." if there else f"{waits}, and is not there yet."
    if known:
        return f"{artifact} is built, because it changed as follows."
    return f"{artifact} is built: " + ("the store has lost how it was made." if there else "it is not there yet.")


def _against(artifact: str, run: str, changed: list[Row]) -> str:
    if changed:
        sure = any(row.result is Comparison.CHANGED for row in changed)
        return f"{artifact} {'is not' if sure else 'may become other than'} what run {run} holds."
    return f"{artifact} is what run {run} holds: made by the same code, with the same parameters, packages and inputs."


def _was(row: Row) -> str:
    return "" if row.result is Comparison.SAME and row.old is None else _short(row.old)


def _now(row: Row) -> str:
    return {Comparison.SAME: "same", Comparison.WAITS: "not known yet"}.get(row.result) or _short(row.new)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
