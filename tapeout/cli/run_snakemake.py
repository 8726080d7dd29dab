"""Snakemake's command line; configuration files that cannot be read are named before Snakemake reads them.

``bin/snakemake`` and the Makefile start this module. Snakemake itself reads the files of ``--configfile`` before any
code of a project runs, and ends with a traceback if one is missing or is not YAML, or if it cannot write its cache.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.graph.console import end_quietly
from tapeout.graph.errors import InvalidEnvironment, InvalidRule, NotWritable
from tapeout.graph.files import OUT_OF_SPACE, report_disk_errors, written_file
from tapeout.program import named_errors
from tapeout.streams import BROKEN_PIPE, reader_has_gone, replace_stderr

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer
    from tapeout.graph.plan.decide import Decision

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


def show_batches(layer: "Layer", decisions: "list[Decision]") -> None:
    """Show the first batch of each training that would run; the modules for it are imported only then."""
    from tapeout.cli.batch_preview import preview

    preview(layer, decisions)


def main() -> None:
    """Run Snakemake with the arguments of this process; Ctrl-C ends it quietly until the layer listens.

    A reader that closes its pipe, as in ``snakemake -n | head``, ends a dry run with ``BROKEN_PIPE``; a run with jobs
    continues.
    """
    end_quietly()
    replace_stderr()
    logging.raiseExceptions = False  # a log that cannot be written, as on a full disk, is no error
    with named_errors():
        check_programs()
    from snakemake import cli

    from tapeout.graph import layer

    parse, is_dry = cli.parse_args, False

    def parse_and_check(argv: Any) -> tuple[Any, Any]:
        nonlocal is_dry
        parser, arguments = parse(argv)
        is_dry = bool(arguments.dryrun)
        with named_errors():
            check_folders()
            check_rules()
            check_configuration(arguments.configfile or (), arguments.config or ())
        return parser, arguments

    cli.parse_args = parse_and_check
    layer.PREVIEWS.append(show_batches)
    try:
        cli.main()
    finally:
        if is_dry and reader_has_gone():
            os._exit(BROKEN_PIPE)


if __name__ == "__main__":
    main()
