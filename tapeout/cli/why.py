"""``tapeout why``: why an artifact is built again or not, what changed, and where the change originated."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import Artifact, AsJson, ConfigFiles, run_names
from tapeout.cli.project import Project, load
from tapeout.graph.errors import NotWritable, UnknownName
from tapeout.graph.files import report_disk_errors
from tapeout.graph.identity.action import Reference
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import read_run
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.explain import Cause, Comparison, Row, causes, record_definitions, table
from tapeout.graph.store.action_index import ActionIndex
from tapeout.graph.workspace import State
from tapeout.program import DiskFull

MAX_LENGTH = 120
"""Maximum characters of a value in a table; JSON has the whole value."""


def why(
    artifact: Artifact,
    against: Annotated[
        str, typer.Option(metavar="RUN", help="Compare with this named run.", autocompletion=run_names)
    ] = "",
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Explain why an artifact is built again, or why not.

    Compares code, parameters, packages and inputs with those that built ARTIFACT, and names the upstream artifact in
    which each change originated.

    Exit code 0 if nothing differs, else 1.
    """
    project = load(configfile)
    artifact, against = project.resolve(artifact).artifact, against.removeprefix("@")
    decision, store = project.decisions[artifact], project.workspace.store
    with suppress(DiskFull, NotWritable), report_disk_errors():
        for recipe in project.recipes.values():
            record_definitions(store, recipe, project.layer.environment(recipe))
    index = ActionIndex(store)
    known = read_run(project.workspace, against).artifacts if against else _in_results(project)
    entry = index.entries.get(known.get(artifact, ""))
    if entry is None and against:
        raise UnknownName(
            f"The store has no action of {artifact} in run {against}.", "Name another run: tapeout runs list"
        )
    old, current = entry["action"] if entry is not None else None, project.current_actions
    upstream_causes = causes(index, artifact, old, current, known) if old is not None else []
    rows = table(old, current[artifact], _inputs(project, decision), upstream_causes, store) if old is not None else []
    origins = list({cause.artifact: cause for cause in reversed(upstream_causes)}.values())[::-1]
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
        "origins": [asdict(cause) for cause in origins],
    }
    parts = _parts(sentence, rows, [cause for cause in origins if cause.artifact != artifact])
    output.show(value, as_json, *parts, configuration=project.configuration)
    raise typer.Exit(1 if changed or (not against and decision.state is not State.CURRENT) else 0)


def _parts(sentence: str, rows: list[Row], upstream: list[Cause]) -> list[Any]:
    """Return the sentence, the table of rows, and a table for each upstream artifact in which a change originated."""
    parts: list[Any] = [sentence]
    if rows:
        cells = [[row.kind, row.name, _old_value(row), _new_value(row), ", ".join(row.origins)] for row in rows]
        columns = ["kind", "name", "old", "new", *(["origin"] if any(row.origins for row in rows) else [])]
        parts += ["", output.table(columns, [line[: len(columns)] for line in cells])]
    for cause in upstream:
        lines = [[change.kind, change.name, _short(change.old), _short(change.new)] for change in cause.changes]
        parts += ["", f"Origin: {cause.artifact}; path: {' <- '.join(cause.path)}"]
        parts.append(output.table(["kind", "name", "old", "new"], lines))
    return parts


def _in_results(project: Project) -> dict[str, str]:
    """Return the digests of the actions that built the artifacts in ``results/``."""
    manifests = {name: project.workspace.manifest(name) for name in project.decisions}
    return {name: manifest.action for name, manifest in manifests.items() if manifest is not None}


def _inputs(project: Project, decision: Decision) -> dict[str, Any]:
    """Return the current inputs of a step; one that is yet to be built has no digest."""

    def manifest(name: str) -> Manifest | None:
        needed = project.decisions[name]
        if needed.action is None or needed.state not in (State.CURRENT, State.RESTORE):
            return None
        in_results = project.workspace.manifest(name)
        same = in_results is not None and in_results.action == needed.action.digest
        return in_results if same else project.workspace.store.find(needed.action.digest)

    def resolved(reference: Reference) -> dict[str, Any]:
        current = manifest(reference.artifact)
        digest = current.digest(reference.path) if current is not None else None
        return {"artifact": reference.artifact, "path": reference.path, "digest": digest}

    return {
        name: [resolved(item) for item in value] if isinstance(value, list) else resolved(value)
        for name, value in decision.recipe.inputs.items()
    }


def _sentence(decision: Decision, exists: bool, known: bool) -> str:
    artifact, state = decision.recipe.artifact, decision.state
    if state is State.CURRENT:
        return f"{artifact} is current: code, parameters, packages and inputs are unchanged. Nothing runs."
    if state is State.RESTORE:
        return f"{artifact} is restored from the store, which has the output of this action. No job runs."
    if state is State.WAITING:
        waits = f"{artifact} waits for {', '.join(decision.waits_for)}"
        return f"{waits} and is built only if their bytes change." if exists else f"{waits}; it does not exist yet."
    if known:
        return f"{artifact} is built again because of these changes:"
    return f"{artifact} is built: " + ("the store has no record of its action." if exists else "it does not exist yet.")


def _against(artifact: str, run: str, changed: list[Row]) -> str:
    if changed:
        certain = any(row.result is Comparison.CHANGED for row in changed)
        return f"{artifact} {'differs' if certain else 'may differ'} from the one in run {run}."
    return f"{artifact} is the same as in run {run}: code, parameters, packages and inputs are unchanged."


def _old_value(row: Row) -> str:
    return "" if row.result is Comparison.SAME and row.old is None else _short(row.old)


def _new_value(row: Row) -> str:
    return {Comparison.SAME: "same", Comparison.WAITS: "not known yet"}.get(row.result) or _short(row.new)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    text = str(value)
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
