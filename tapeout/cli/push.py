"""``tapeout push``: upload artifacts to the remote store."""

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, InvalidUse
from tapeout.cli.options import addresses as complete_address
from tapeout.graph.address import Kind, resolve
from tapeout.graph.named_runs import artifact_names, read_run
from tapeout.graph.remote.push import Outcome
from tapeout.graph.remote.remote_store import Remote
from tapeout.graph.workspace import Workspace


def push(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARTIFACT",
            help="ARTIFACT, ARTIFACT@RUN, @RUN or a digest; default: results/ and failed uploads.",
            autocompletion=complete_address,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Upload artifacts to the remote that TAPEOUT_REMOTE names.

    Exit code 0 if the remote has every artifact now, else 1.
    """
    workspace = Workspace.here()
    remote = workspace.remote
    if remote is None:
        raise InvalidUse("No remote is set.", "Set TAPEOUT_REMOTE, e.g. to s3://bucket/store; see docs/store.md.")
    if not remote.writable:
        raise InvalidUse(f"The remote {remote.name} is read-only here.", "Set TAPEOUT_REMOTE_MODE=read-write.")
    remote.forget_failures()
    uploads = remote.push(_actions(workspace, remote, addresses or []))
    rows = [
        [upload.artifact, upload.action[:16], upload.outcome, output.format_size(upload.sent)] for upload in uploads
    ]
    counts = Counter(upload.outcome for upload in uploads)
    sent = output.format_size(sum(upload.sent for upload in uploads))
    summary = f"{', '.join(f'{counts[outcome]} {outcome}' for outcome in Outcome if counts[outcome])}; {sent} sent."
    value: dict[str, Any] = {"remote": remote.name, "pushed": [asdict(upload) for upload in uploads]}
    output.show(value, as_json, output.table(["artifact", "action", "outcome", ">sent"], rows), summary)
    raise typer.Exit(0 if set(counts) <= {Outcome.PUSHED, Outcome.PRESENT} else 1)


def _actions(workspace: Workspace, remote: Remote, addresses: list[str]) -> list[str]:
    """Return the digests of the actions whose outputs are to be uploaded."""
    if addresses:
        actions = [action for address in addresses for action in _resolve(workspace, address)]
    else:
        manifests = [workspace.manifest(name) for name in artifact_names(workspace.results)]
        actions = [manifest.action for manifest in manifests if manifest is not None]
        actions += [action for action in remote.queued() if action not in actions]
        actions = [action for action in actions if workspace.store.find(action) is not None]
    if not actions:
        raise InvalidUse("There are no results to push.", "Run: snakemake eval_report")
    return actions


def _resolve(workspace: Workspace, text: str) -> list[str]:
    """Return the actions of an artifact, or of all artifacts of a run."""
    address = resolve(workspace, text)
    if address.action:
        actions = [address.action]
    elif address.run:
        actions = list(read_run(workspace, address.run).artifacts.values())
    else:
        manifests = [workspace.manifest(name) for name in address.artifacts]
        actions = [manifest.action for manifest in manifests if manifest is not None]
    if address.kind is Kind.PATH or any(workspace.store.find(action) is None for action in actions):
        raise InvalidUse(f"The store has no action that built {text}.", "Name an artifact of the store.")
    return actions
