"""``tapeout publish``: upload an artifact to the Hugging Face Hub."""

import json
import os
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import Artifact, AsJson, InvalidUse
from tapeout.graph.address import Kind, resolve
from tapeout.graph.identity.environment import read_environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import Workspace
from tapeout.provenance.publication import (
    Destination,
    InvalidPublication,
    NotCertified,
    certification,
    check_files,
    licence_of,
    publication,
    published_manifest,
    read_record,
    snapshot,
    write_record,
)

PROGRAM, ENVIRONMENT = "tapeout.provenance.hub_upload", "serve"
TOKEN = "HF_TOKEN"
FAILED = 3
HIDDEN = "(the token)"


class PublishFailed(InvalidPublication):
    """The hub did not get the artifact, or not all of it."""


def publish(
    artifact: Artifact,
    repo: Annotated[
        str, typer.Option("--repo", metavar="OWNER/NAME", help="Repository; created if it does not exist.")
    ],
    public: Annotated[
        bool, typer.Option("--public/--private", help="Visibility of a repository that is created.")
    ] = False,
    revision: Annotated[str, typer.Option("--revision", metavar="BRANCH", help="Branch.")] = "main",
    message: Annotated[str | None, typer.Option("--message", help="Message of the commit.")] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Upload; without it nothing is sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload an artifact to the Hugging Face Hub, in one commit; a dry run unless --execute is given.

    The token comes from HF_TOKEN in the environment, and HF_ENDPOINT may name another hub.
    """
    workspace = Workspace.here()
    address = resolve(workspace, artifact)
    if address.kind is not Kind.ARTIFACT:
        raise InvalidUse(
            f"{artifact} is {address.kind.phrase}, not an artifact in results.", "Name one, such as export/hf."
        )
    to = Destination.of(repo, revision)
    manifest = published_manifest(workspace, address.artifact)
    record = read_record(workspace, manifest.artifact, to)
    known = record["commit"] if record is not None and record["digest"] == manifest.digest() else None
    value = publication(manifest, to, known)
    sentences = [
        f"Already published as commit {known}." if known else f"Nothing was sent. To upload: {TOKEN} and --execute."
    ]
    built = workspace.artifact_path(manifest.artifact)
    with snapshot(workspace, manifest.artifact) if execute else nullcontext(built) as folder:
        check_files(manifest, folder)
        licence = licence_of(folder, manifest.artifact)
        certificate = _certificate(workspace, manifest, execute)
        if execute:
            request = {
                "folder": str(folder.absolute()),
                "files": value["files"],
                "former": [entry["path"] for entry in record["files"]] if record is not None else [],
                "repository": to.repository,
                "branch": to.branch,
                "private": not public,
                "message": message or f"{manifest.artifact} sha256:{manifest.digest()}",
            }
            outcome = _upload(request, to.endpoint)
            commit = known if known and not (outcome["uploaded"] or outcome["deleted"]) else outcome["commit"]
            value = {**outcome, **write_record(workspace, manifest, to, commit)}
            sentences = _sentences(outcome, commit, manifest)
    rows = [[entry.path, output.format_size(entry.size), entry.digest[:16]] for entry in manifest.entries]
    sizes = f"{output.count(len(rows), 'file')}, {output.format_size(manifest.size)}"
    visibility = "public" if public else "private"
    output.show(
        {**value, "certificate": certificate, "licence": licence},
        as_json,
        f"{manifest.artifact}  sha256:{manifest.digest()[:16]}  {sizes}, licence {licence}",
        output.table(["file", ">size", "sha256"], rows),
        f"To {to.repository} at {to.endpoint}, branch {to.branch}; {visibility} if the repository is created.",
        "Checked: every file is that of the build; NOTICE and a licence are there; no file has a secret of the "
        "environment.",
        certificate,
        *sentences,
    )


def _certificate(workspace: Workspace, manifest: Manifest, execute: bool) -> str:
    """Return a sentence about the certificate; one that is missing is an error only for an upload."""
    try:
        return certification(workspace, manifest)
    except NotCertified as error:
        if execute:
            raise
        return f"Warning: {error.cause} --execute will refuse it. {error.fix}"


def _sentences(outcome: dict[str, Any], commit: str, manifest: Manifest) -> list[str]:
    """Return what the upload did."""
    changed = bool(outcome["uploaded"] or outcome["deleted"])
    sent = output.count(len(outcome["uploaded"]), "file")
    lines = [f"Published as commit {commit}: {sent} sent." if changed else f"Already published as commit {commit}."]
    lines.append(f"At this commit the SHA-256 of all {len(manifest.entries)} files are those of the artifact.")
    if outcome["deleted"]:
        lines.append(f"Deleted, because the artifact has them no more: {', '.join(outcome['deleted'])}.")
    if outcome["others"]:
        lines.append(f"The repository also has: {', '.join(outcome['others'])}.")
    return lines


def _upload(request: dict[str, Any], endpoint: str) -> dict[str, Any]:
    """Run the program that uploads, in its environment.

    Raises:
        InvalidUse: there is no token.
        InvalidEnvironment: the environment is not installed.
        PublishFailed: the upload failed.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise InvalidUse(f"{TOKEN} is not set.", f"Export {TOKEN} with a token of the hub that may write.")
    environment = read_environment(ENVIRONMENT)
    environment.require()
    size = output.format_size(sum(entry["size"] for entry in request["files"]))
    output.errors.print(f"Uploading what {request['repository']} lacks of {size}; this may take long.")
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [environment.python, "-P", "-m", PROGRAM],
            input=json.dumps(request),
            env=os.environ
            | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
            | {"HF_HOME": home, "HF_ENDPOINT": endpoint}
            | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return outcome
    if done.returncode == FAILED:
        error = json.loads(done.stdout.splitlines()[-1])
        raise PublishFailed(error["cause"].replace(token, HIDDEN), error["fix"].replace(token, HIDDEN))
    last = done.stderr.strip().rpartition("\n")[2].replace(token, HIDDEN).rstrip(".")
    raise PublishFailed(
        f"The upload ended with status {done.returncode}: {last}.",
        "Run the same command again; files that the hub has already are not sent again.",
    )
