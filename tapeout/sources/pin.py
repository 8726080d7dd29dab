"""Print the current record of a Hugging Face repository, ready to be pasted into a sources file.

    python -m tapeout.sources.pin hf_dataset:OpenAssistant/oasst1 --file '*_oasst_all.trees.jsonl.gz'

Branches and tags move, so a record names a commit; this asks the hub for the current commit of a branch and its files.
"""

import json
import re
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
import yaml

from tapeout.config.sources import RetryPolicy
from tapeout.program import named_errors
from tapeout.sources.errors import SourceMissing
from tapeout.sources.hub import Repository, ask, client, no_login_from_home
from tapeout.sources.kinds import hf_dataset, hf_model
from tapeout.streams import standard_streams

KINDS = {"hf_model": hf_model.Source, "hf_dataset": hf_dataset.Source}
MAX_NAMES = 8
"""Number of file names to print if no file matches."""


def pinned(source: str, revision: str, files: list[str], policy: RetryPolicy | None = None) -> dict[str, Any]:
    """Return the record of a repository.

    Args:
        source: ``hf_model:OWNER/NAME`` or ``hf_dataset:OWNER/NAME``.
        revision: branch, tag or commit.
        files: patterns over paths; none selects all.
        policy: how often to retry.

    Raises:
        SourceMissing: ``source`` is neither, there is no such repository or revision, or no file matches.
        AccessDenied, SourceUnreachable: see their docstrings.
    """
    kind, _, name = source.partition(":")
    if kind not in KINDS or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise SourceMissing(f"{source} is not a repository.", "Name one: hf_model:OWNER/NAME or hf_dataset:OWNER/NAME")
    repository = Repository(KINDS[kind].repository_type, name, revision)
    with no_login_from_home():
        info = ask(
            lambda: client().repo_info(name, revision=revision, repo_type=repository.type, files_metadata=True),
            repository,
            policy,
        )
    siblings = sorted(info.siblings or [], key=lambda file: file.rfilename)
    selected = [file for file in siblings if any(fnmatchcase(file.rfilename, pattern) for pattern in files or ["*"])]
    if not selected:
        names = ", ".join(file.rfilename for file in siblings[:MAX_NAMES])
        raise SourceMissing.of(f"A file {' or '.join(files) or '*'}", f" in {name}; it has {names or 'none'}")
    licence = getattr(info.card_data, "license", None)
    record = {
        "kind": kind,
        "repository": name,
        "revision": info.sha,
        "licence": licence if isinstance(licence, str) and licence else "unknown",
        "files": [
            {
                "path": file.rfilename,
                **({"sha256": file.lfs.sha256} if file.lfs else {}),
                **({"size": file.size} if file.size else {}),
            }
            for file in selected
        ],
    }
    KINDS[kind].model_validate(record)
    return record


def main(
    source: Annotated[str, typer.Argument(help="hf_model:OWNER/NAME or hf_dataset:OWNER/NAME")],
    file: Annotated[list[str], typer.Option(help="pattern over the paths of its files; any number")] = [],  # noqa: B006
    revision: Annotated[str, typer.Option(help="branch, tag or commit")] = "main",
    name: Annotated[str | None, typer.Option(help="name of the source; else the repository's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print the record of a repository at the current commit of a revision."""
    record = pinned(source, revision, file)
    records = {name or re.sub(r"[^a-z0-9._-]", "-", record["repository"].rpartition("/")[2].lower()): record}
    if as_json:
        print(json.dumps(records, indent=2))
    else:
        print(
            "# The licence is the one that the repository's card names: read its text. Files without sha256 are small"
        )
        print("# ones, which the hub identifies by their git blob id; the commit pins them.")
        print(yaml.safe_dump(records, sort_keys=False), end="")


if __name__ == "__main__":
    with named_errors(), standard_streams():
        typer.run(main)
