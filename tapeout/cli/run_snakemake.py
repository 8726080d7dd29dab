"""Snakemake's command line; configuration files that cannot be read are named before Snakemake reads them.

``bin/snakemake`` and the Makefile start this module. Snakemake itself reads the files of ``--configfile`` before any
code of a project runs, and ends with a traceback if one is missing or is not YAML, or if it cannot write its cache.
"""

import logging
import os
from typing import TYPE_CHECKING, Any

from tapeout.cli.checks import check_configuration, check_folders, check_programs, check_rules
from tapeout.graph.console import end_quietly
from tapeout.program import named_errors
from tapeout.streams import BROKEN_PIPE, reader_has_gone, replace_stderr

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer
    from tapeout.graph.plan.decide import Decision


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
