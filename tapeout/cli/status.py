"""``tapeout status``: every artifact: in place, restorable, stale, missing; its size, digest, and when it was built."""

from typing import Any

from tapeout.cli import output
from tapeout.cli.project import Project
from tapeout.graph.plan import duration
from tapeout.graph.workspace import State


def status(project: Project, as_json: bool) -> int:
    """Show one row for each artifact; returns 0."""
    built = {(line["artifact"], line["action"]): line for line in project.workspace.store.journal()}
    found: list[dict[str, Any]] = []
    for name, decision in project.decisions.items():
        manifest = project.workspace.manifest(name)
        state = {State.CURRENT: "current", State.RESTORE: "in the store"}.get(decision.state)
        if decision.download is not None:
            state = "in the remote"
        line = built.get((name, manifest.action)) if manifest is not None else None
        found.append(
            {
                "artifact": name,
                "state": state or ("stale" if manifest is not None else "missing"),
                "waits_for": list(decision.waits_for),
                "size": manifest.size if manifest is not None else None,
                "digest": manifest.digest() if manifest is not None else None,
                "action": manifest.action if manifest is not None else None,
                "finished": line["finished"] if line else None,
                "seconds": line["seconds"] if line else None,
                "machine": f"{line['machine']}, {line['cores']} cores" if line and "machine" in line else None,
            }
        )
    rows = [
        [
            str(row["artifact"]),
            str(row["state"]),
            output.size(row["size"]) if row["size"] is not None else "",
            str(row["digest"] or "")[:10],
            duration(row["seconds"]) if row["seconds"] is not None else "",
            str(row["finished"] or "")[5:16].replace("T", " "),
        ]
        for row in found
    ]
    columns = ["artifact", "state", ">size", "digest", ">took", "built (UTC)"]
    output.show(found, as_json, output.table(columns, rows))
    return 0
