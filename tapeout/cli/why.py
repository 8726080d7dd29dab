"""``tapeout why``: what changed since an artifact was made, and where the change began; or why nothing runs."""

from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.why import Change, causes, compare, keep_meanings
from tapeout.graph.workspace import State


def why(project: Project, artifact: str, as_json: bool) -> int:
    """Explain one artifact; returns 0 if it is as its action says, 1 if something is to be done."""
    decision = project.decision(artifact)
    for recipe in project.recipes.values():
        keep_meanings(project.workspace.store, recipe, project.layer.environments[recipe.environment])
    store, manifest = project.workspace.store, project.workspace.manifest(artifact)
    entry = store.read_entry(manifest.action) if manifest is not None else None
    old = entry["action"] if entry is not None else None
    direct = compare(old, decision.action.value, store) if old is not None and decision.action is not None else []
    began = causes(store, artifact, old, project.current_actions) if old is not None else []
    sentence = _sentence(decision.state, artifact, decision.waits_for, old is not None)
    value = {
        "artifact": artifact,
        "state": decision.state,
        "sentence": sentence,
        "changes": [_row(change) for change in direct],
        "began": [
            {
                "artifact": cause.artifact,
                "path": list(cause.path),
                "changes": [_row(change) for change in cause.changes],
            }
            for cause in began
        ],
    }
    parts: list[Any] = [sentence]
    if direct:
        rows = [[change.kind, change.name, _short(change.old), _short(change.new)] for change in direct]
        parts.append(output.table(["what", "name", "old", "new"], rows, title="this step"))
    for cause in began:
        if cause.artifact != artifact:
            rows = [[change.kind, change.name, _short(change.old), _short(change.new)] for change in cause.changes]
            way = " <- ".join(cause.path)
            parts.append(output.table(["what", "name", "old", "new"], rows, title=f"began at {cause.artifact} ({way})"))
    output.show(value, as_json, *parts)
    return 0 if decision.state is State.CURRENT else 1


def _sentence(state: State, artifact: str, waits_for: tuple[str, ...], known: bool) -> str:
    if state is State.CURRENT:
        return f"{artifact} is current: code, parameters, environment and inputs are those that it was made from."
    if state is State.RESTORE:
        return f"{artifact} comes from the store: this action was carried out before. No job runs."
    if state is State.WAITING:
        return f"{artifact} waits for {', '.join(waits_for)}; it is built only if their bytes change."
    return f"{artifact} is built: " + ("it changed as follows." if known else "it was never built here.")


def _row(change: Change) -> dict[str, Any]:
    return {"kind": change.kind, "name": change.name, "old": change.old, "new": change.new}


def _short(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
