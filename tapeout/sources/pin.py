"""The record of a Hugging Face repository as it is now, ready to be pasted into a sources file.

    python -m tapeout.sources.pin hf_dataset:OpenAssistant/oasst1 --file '*_oasst_all.trees.jsonl.gz'

Branches and tags move, so a record names a commit; this asks the hub which one a branch is at, and what it holds.
"""

import json
import re
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
import yaml

from tapeout.config.sources import HubSource
from tapeout.errors import TapeoutError
from tapeout.program import named_errors
from tapeout.sources.download import Patience
from tapeout.sources.errors import SourceMissing
from tapeout.sources.hub import REPOSITORY_TYPES, asking, client, no_login_from_home

SHOWN = 8
"""Files that are named where none is taken."""


class NoSource(TapeoutError):
    """What is to be pinned is no repository of the hub."""


def pinned(source: str, revision: str, files: list[str], patience: Patience | None = None) -> dict[str, Any]:
    """The record of a repository.

    Args:
        source: ``hf_model:OWNER/NAME`` or ``hf_dataset:OWNER/NAME``.
        revision: branch, tag or commit.
        files: patterns over paths; none takes all.
        patience: how long to retry.

    Raises:
        NoSource: ``source`` is neither.
        SourceMissing: no file fits, or there is no such revision.
        GatedSource, InvalidToken, RepositoryMissing, RateLimited, SourceUnreachable: as named.
    """
    kind, _, repository = source.partition(":")
    if kind not in REPOSITORY_TYPES or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repository):
        raise NoSource(f"{source} is no repository.", "Name one: hf_model:OWNER/NAME or hf_dataset:OWNER/NAME")
    with no_login_from_home():
        info = asking(
            lambda: client().repo_info(
                repository, revision=revision, repo_type=REPOSITORY_TYPES[kind], files_metadata=True
            ),
            kind,
            repository,
            patience,
        )
    siblings = sorted(info.siblings or [], key=lambda each: each.rfilename)
    taken = [each for each in siblings if any(fnmatchcase(each.rfilename, pattern) for pattern in files or ["*"])]
    if not taken:
        names = ", ".join(each.rfilename for each in siblings[:SHOWN])
        raise SourceMissing(f"A file {' or '.join(files) or '*'}", f" in {repository}; it has {names or 'none'}")
    licence = getattr(info.card_data, "license", None)
    record = {
        "kind": kind,
        "repository": repository,
        "revision": info.sha,
        "licence": licence if isinstance(licence, str) and licence else "unknown",
        "files": [
            {
                "path": each.rfilename,
                **({"sha256": each.lfs.sha256} if each.lfs else {}),
                **({"size": each.size} if each.size else {}),
            }
            for each in taken
        ],
    }
    HubSource.model_validate(record)
    return record


def main(
    source: Annotated[str, typer.Argument(help="hf_model:OWNER/NAME or hf_dataset:OWNER/NAME")],
    file: Annotated[list[str], typer.Option(help="pattern over the paths of its files; any number")] = [],  # noqa: B006
    revision: Annotated[str, typer.Option(help="branch, tag or commit")] = "main",
    name: Annotated[str | None, typer.Option(help="name of the source; else the repository's")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print the record of a repository at the commit that ``revision`` is at now."""
    record = pinned(source, revision, file)
    named = {name or re.sub(r"[^a-z0-9._-]", "-", record["repository"].rpartition("/")[2].lower()): record}
    if as_json:
        print(json.dumps(named, indent=2))
    else:
        print(
            "# The licence is what the repository's card says: read the text. Files without sha256 are small ones that"
        )
        print("# the hub knows by their git blob id; the commit pins them.")
        print(yaml.safe_dump(named, sort_keys=False), end="")


if __name__ == "__main__":
    with named_errors():
        typer.run(main)
