"""Names of folders and artifacts that some program of a run cannot take, refused before anything starts."""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from tapeout.graph.errors import InvalidFolder, InvalidRule

FOLDERS = ("TAPEOUT_STORE", "TAPEOUT_DOWNLOADS")
"""Environment variables with paths of folders. They are options of programs and not part of lists or patterns."""
IN_PATTERNS = {
    ":": "PATH and PYTHONPATH separate folders by it",
    **dict.fromkeys("{}", "Snakemake reads it as a wildcard"),
}
"""Characters that the path of a project must not have, with the reason."""
IN_SLURM = dict.fromkeys("%\\", "sbatch reads it as a pattern")
"""Further characters that it must not have on a cluster."""

UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories of control characters, of bytes that are not UTF-8, and of line separators."""

RESERVED = (".manifest.json", ".action.json", ".sealed", ".resolved")
"""Endings of the files that the content layer writes beside artifacts or about them."""
MAX_PART, MAX_NAME = 215, 245
"""Bytes of a part of an artifact's name, and of the whole, that leave room in a file's name for what is added to it."""


def check_artifact(name: str) -> None:
    """Check the name of an artifact.

    Raises:
        InvalidRule: it is reserved, too long, or contains characters that no log or list of files can show.
    """
    parts = name.split("/")
    reserved = next((end for end in RESERVED for part in parts if part.endswith(end)), "")
    size = len(name.encode("utf-8", "surrogateescape"))
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
    if reserved:
        reason = f"names that end in {reserved} belong to the content layer"
    elif not {"", ".", "..", ".graph"}.isdisjoint(parts):
        reason = "a part of its path is empty, a dot, or .graph"
    elif not name.isprintable():
        reason = "a character in it is not printable"
    elif size > MAX_NAME or longest > MAX_PART:
        reason = f"it has {size} bytes; {MAX_NAME} are possible, and {MAX_PART} between two slashes"
    else:
        return
    raise InvalidRule(f"No artifact can be named {name!r}: {reason}.", "Rename it where it gets its name.")


def check_project(variables: Mapping[str, str], characters: Mapping[str, str] = IN_PATTERNS) -> None:
    """Check the path of the current folder, and those that environment variables name.

    Args:
        variables: environment variables.
        characters: characters that the current folder must not have, with the reason.

    Raises:
        InvalidFolder: a program cannot take one of them.
    """
    here = str(Path.cwd())
    for name, path in (("The project's folder", here), *((name, variables.get(name, "")) for name in FOLDERS)):
        if any(unicodedata.category(character) in UNPRINTABLE for character in path):
            cause = f"{name} {path!r} has a character that is not printable, which no log or list of files can show"
            raise InvalidFolder(f"{cause}.", "Rename it.")
    for character, reason in characters.items():
        if character in here:
            raise InvalidFolder(
                f"The project's folder {here} has the character {character} in its path: {reason}.",
                "Rename or move it; nothing is built again.",
            )
