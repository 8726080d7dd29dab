"""Program of every rule: build one artifact.

Usage: ``python -m tapeout.graph.run.runner SCRIPT MARK THREADS LOG``.
"""

import argparse
import signal
from pathlib import Path

from tapeout.graph.console import end_quietly, print_line


def main() -> None:
    """Build one artifact."""
    end_quietly()
    from tapeout.errors import TapeoutError
    from tapeout.graph.errors import StepStopped
    from tapeout.graph.files import report_disk_errors, retry_until_visible
    from tapeout.graph.run.build import build, read_step
    from tapeout.graph.run.progress import record_error
    from tapeout.graph.workspace import Workspace

    parser = argparse.ArgumentParser(prog="python -m tapeout.graph.run.runner", description=main.__doc__)
    parser.add_argument("script", help="shown in process lists; the recipe names the same script")
    parser.add_argument("mark", type=Path, help="mark that the rule declares as its output")
    parser.add_argument("threads", type=int)
    parser.add_argument("log", type=Path)
    arguments = parser.parse_args()
    artifact = arguments.mark.relative_to(Workspace.here().graph).as_posix().removesuffix(".sealed")
    try:
        with report_disk_errors():
            workspace = Workspace.here()
            step, forced = retry_until_visible(lambda: read_step(workspace, artifact, arguments.threads, arguments.log))
            step.launch.require(step.packages)
            print_line(f"+ {artifact}  {'built again' if forced else 'building'}  log: {arguments.log}")
            with record_error(step.scratch):
                result = build(step, forced)
        print_line(f"✓ {artifact}  {result}")
        if workspace.remote is not None:
            workspace.remote.push_queued(step.action.digest)
    except StepStopped as stopped:
        print_line(f"~ {artifact}  {stopped.cause} {stopped.fix}")
        raise SystemExit(1) from None
    except TapeoutError as error:
        print_line(f"✗ {artifact}  {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


if __name__ == "__main__":
    main()
