"""Checks before Snakemake starts: what would make it end with a traceback before any code of a project runs."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tapeout.graph.disk_space import OUT_OF_SPACE
from tapeout.graph.errors import InvalidEnvironment, InvalidRule, NotWritable
from tapeout.graph.files import report_disk_errors, written_file

CHECKED_BYTES = 2**16
"""Space that Snakemake's cache needs for the rule files of a project."""


def check_configuration(configfiles: Iterable[str | Path], overrides: Iterable[str]) -> None:
    """Check that the configuration of a command line can be read.

    Args:
        configfiles: files of ``--configfile``.
        overrides: words of ``--config``.

    Raises:
        InvalidConfig: with the errors of all files that cannot be read.
        InvalidUse: a word of ``--config`` is not KEY=VALUE, or one of ``--configfile`` is probably a target.
    """
    from tapeout.cli.options import InvalidUse

    for word in overrides:
        key, equals, _ = word.partition("=")
        if not (equals and key.isidentifier()):
            fix = "Put the targets before --config, and write --config 'dapt={max_steps: 5}'."
            raise InvalidUse(f"--config takes words of the form KEY=VALUE, not {word}.", fix)
    for path in configfiles:
        if not Path(path).exists() and not Path(path).suffix:
            cause = f"--configfile takes all words up to the next option, and there is no file {path}."
            raise InvalidUse(cause, "Put the targets before --configfile; a path with blanks needs quotes.")
    check_files(configfiles)


def check_files(configfiles: Iterable[str | Path]) -> None:
    """Check that configuration files, and that of the defaults, can be read.

    Raises:
        InvalidConfig: with the errors of all files that cannot be read.
    """
    from tapeout.config.load import DEFAULTS, read_files

    read_files([*([DEFAULTS] if Path(DEFAULTS).exists() else []), *configfiles])


def check_rules() -> None:
    """Check that all rule files are UTF-8 text.

    Raises:
        InvalidRule: one is not.
    """
    for path in (Path("Snakefile"), *sorted(Path("rules").rglob("*.smk"))):
        content = path.read_bytes() if path.is_file() else b""
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            cause = f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8 text."
            raise InvalidRule(cause, "Save the file as UTF-8.") from error


def check_programs() -> None:
    """Check that there are the programs and the home folder that Snakemake needs while it is imported.

    Raises:
        InvalidEnvironment: one is missing.
    """
    try:
        Path.home()
    except RuntimeError as error:
        raise InvalidEnvironment(
            "This user has no home folder, which Snakemake needs.", "Set HOME to a folder that this user can write."
        ) from error
    for program in ("bash", "which"):
        if shutil.which(program) is None:
            raise InvalidEnvironment(
                f"There is no program {program} on PATH.", "Install it, or add its folder to PATH: Snakemake needs it."
            )


def check_folders() -> None:
    """Check that Snakemake can write where it does before any code of a project runs: .snakemake, its cache and TMPDIR.

    Raises:
        DiskFull: a disk is full.
        InvalidFolder: .snakemake is no folder.
        NotWritable: this user must not write there.
    """
    from snakemake.common import get_appdirs

    cache = Path(get_appdirs().user_cache_dir)
    with report_disk_errors():
        if os.path.lexists(".snakemake"):
            Path(".snakemake").mkdir(exist_ok=True)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _probe(cache)
        except OSError as error:
            if error.errno in OUT_OF_SPACE:
                raise
            raise NotWritable(
                f"{error.filename}: {error.strerror}. Snakemake needs the folder {cache}.",
                "Set HOME or XDG_CACHE_HOME to a folder that this user can write.",
            ) from error
        _probe(Path(tempfile.gettempdir()))


def _probe(folder: Path) -> None:
    """Write a temporary file; a full disk would still take an empty one."""
    with written_file(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(CHECKED_BYTES))
