"""Program of the checkpoint: resolve a batch of artifacts, and create the checkpoint's stamp.

Usage: ``python -m tapeout.graph.plan.resolve HEAD``, where HEAD is the first artifact of the batch.
"""

import sys

from tapeout.graph.console import end_quietly, print_line


def main() -> None:
    """Resolve the batch named on the command line."""
    end_quietly()
    from tapeout.errors import TapeoutError
    from tapeout.graph.files import report_disk_errors
    from tapeout.graph.plan.resolution import describe, resolve
    from tapeout.graph.workspace import Workspace

    head = sys.argv[1]
    try:
        with report_disk_errors():
            workspace = Workspace.here()
            with workspace.lock_decisions():
                outcomes = resolve(workspace, head)
                workspace.mark_family(head, resolved=True)
    except TapeoutError as error:
        print_line(str(error))
        raise SystemExit(1) from None
    if line := describe(head, outcomes):
        print_line(line)


if __name__ == "__main__":
    main()
