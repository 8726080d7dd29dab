"""``tapeout push``: give what lies in ``results/``, or what an address names, to the remote."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from tapeout.cli import output
from tapeout.errors import TapeoutError
from tapeout.graph.address import locate
from tapeout.graph.named_runs import artifact_names
from tapeout.graph.remote.push import Outcome
from tapeout.graph.workspace import Workspace


class NothingToPush(TapeoutError):
    """No remote is named, it may only be read, or what is to be pushed is not in the store."""


def push(addresses: list[str], as_json: bool) -> int:
    """Push; returns 0 if the remote has everything now, else 1.

    Args:
        addresses: as ``graph.address`` reads them; none means everything in ``results/`` and all that is owed.
        as_json: print JSON.

    Raises:
        NothingToPush: see there.
        RemoteUnavailable: the remote does not answer.
        RemoteRefused: it may not be written, or is full.
        UnknownName: nothing is kept under one of the addresses.
    """
    workspace = Workspace.here()
    if workspace.remote is None:
        raise NothingToPush("No remote is named.", "Set TAPEOUT_REMOTE, e.g. to s3://bucket/store; see docs/store.md.")
    if not workspace.remote.writable:
        raise NothingToPush(f"The remote {workspace.remote.name} is only read.", "Set TAPEOUT_REMOTE_MODE=read-write.")
    workspace.remote.forget_failures()
    pushed = workspace.remote.push(_actions(workspace, addresses))
    rows = [[done.artifact, done.action[:16], done.outcome, output.size(done.sent)] for done in pushed]
    counts = Counter(done.outcome for done in pushed)
    sent = output.size(sum(done.sent for done in pushed))
    said = f"{', '.join(f'{counts[outcome]} {outcome}' for outcome in Outcome if counts[outcome])}; {sent} sent."
    value: dict[str, Any] = {"remote": workspace.remote.name, "pushed": [asdict(done) for done in pushed]}
    output.show(value, as_json, output.table(["artifact", "action", "outcome", ">sent"], rows), said)
    return 0 if set(counts) <= {Outcome.PUSHED, Outcome.PRESENT} else 1


def _actions(workspace: Workspace, addresses: list[str]) -> list[str]:
    """Digests of the actions whose output is to be pushed, in the order of the names."""
    if not addresses and workspace.remote is not None:
        manifests = [workspace.manifest(name) for name in artifact_names(workspace.results)]
        wanted = [manifest.action for manifest in manifests if manifest is not None]
        wanted += [action for action in workspace.remote.queued() if action not in wanted]
        wanted = [action for action in wanted if workspace.store.find(action) is not None]
    else:
        wanted = [locate(workspace, address).manifest.action for address in addresses]
        for address, action in zip(addresses, wanted, strict=True):
            if not action or workspace.store.find(action) is None:
                raise NothingToPush(f"The store has no action that made {address}.", "Name an artifact of the store.")
    if not wanted:
        raise NothingToPush("There are no results to push.", "Run: snakemake eval_report")
    return wanted
