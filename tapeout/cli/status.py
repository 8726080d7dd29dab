"""``tapeout status``: state, size, digest and build time of every artifact."""

import os
from collections import Counter
from typing import Any

from tapeout.cli import output
from tapeout.cli.options import AsJson, ConfigFiles
from tapeout.cli.project import load
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.describe import duration
from tapeout.graph.workspace import State, Workspace


def status(as_json: AsJson = False, configfile: ConfigFiles = None) -> None:
    """Show the state of every artifact.

    \b
    current        matches the code and the configuration
    in the store   a run restores it without a job
    in the remote  a run downloads it without a job
    stale          built by older actions; a run rebuilds, restores or keeps it
    damaged        differs from the store's manifest; a run replaces it
    untrusted      no trusted key has signed it; a run builds it again
    missing        a run builds it

    Exit code 0.
    """
    project = load(configfile)
    builds = {(line["artifact"], line["action"]): line for line in project.workspace.store.journal()}
    artifacts: list[dict[str, Any]] = []
    for name, decision in project.decisions.items():
        manifest = project.workspace.manifest(name)
        line = builds.get((name, manifest.action)) if manifest is not None else None
        artifacts.append(
            {
                "artifact": name,
                "state": _state(project.workspace, decision, manifest),
                "waits_for": list(decision.waits_for),
                "size": manifest.size if manifest is not None else None,
                "digest": manifest.digest() if manifest is not None else None,
                "action": manifest.action if manifest is not None else None,
                "finished": line["finished"] if line else None,
                "seconds": line["seconds"] if line else None,
                "machine": f"{line['machine']}, {line['cores']} cores" if line and "machine" in line else None,
            }
        )
    wide = output.is_wide()
    rows = [
        [
            str(row["artifact"]),
            str(row["state"]),
            output.format_size(row["size"]) if row["size"] is not None else "",
            str(row["digest"] or "")[:10],
            duration(row["seconds"]) if row["seconds"] is not None else "",
            str(row["finished"] or "")[5:16].replace("T", " "),
            *([str(row["machine"] or "")] if wide else []),
        ]
        for row in artifacts
    ]
    columns = ["artifact", "state", ">size", "digest", ">took", "built (UTC)", *(["on"] if wide else [])]
    table = output.table(columns, rows)
    value = {"artifacts": artifacts}
    output.show(value, as_json, table, "", _totals(artifacts), configuration=project.configuration)


def _state(workspace: Workspace, decision: Decision, manifest: Manifest | None) -> str:
    name = decision.recipe.artifact
    exists = os.path.lexists(workspace.artifact_path(name))
    if decision.state is State.CURRENT:
        return "current"
    stated = workspace.stated_manifest(name) if exists and manifest is None else None
    if stated is not None and workspace.store.distrusts(stated[0]):
        return "untrusted"
    if exists and (manifest is None or not manifest.matches(workspace.artifact_path(name))):
        return "damaged"
    if decision.state is State.RESTORE:
        return "in the remote" if decision.download is not None else "in the store"
    return "stale" if exists else "missing"


def _totals(artifacts: list[dict[str, Any]]) -> str:
    states = Counter(row["state"] for row in artifacts)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    size, seconds = (sum(row[name] or 0 for row in artifacts) for name in ("size", "seconds"))
    total = output.count(len(artifacts), "artifact")
    return f"{total}: {counts}; {output.format_size(size)}, {duration(seconds)} of build time."
