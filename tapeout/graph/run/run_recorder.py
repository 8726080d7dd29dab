"""What is kept of a run while it goes on, and what is said when it has ended."""

import atexit
import os
import time
from collections.abc import Callable
from dataclasses import replace

from tapeout.graph.console import print_line
from tapeout.graph.run.run_record import RUN, Course, Failure
from tapeout.graph.run.usage import spent, words
from tapeout.graph.workspace import Workspace


def follow(workspace: Workspace, course: Course) -> Callable[[Failure], None]:
    """Keep the record of the run that this process begins; returns what is to be told of every job that fails.

    The end is that of the process, however it comes, because Snakemake's own hooks know nothing of an interrupt. A
    process that is killed leaves a record without an end, and ``tapeout top`` sees that it is gone.
    """
    ending = _Ending(workspace, course)
    os.environ[RUN] = course.run
    course.write(workspace)
    atexit.register(ending.end)
    return ending.failed


class _Ending:
    def __init__(self, workspace: Workspace, course: Course) -> None:
        self.workspace, self.course = workspace, course

    def failed(self, failure: Failure) -> None:
        self.course = self.course.with_failure(failure)
        self.course.write(self.workspace)

    def end(self) -> None:
        """Say what the run took, if it built anything or cost anything."""
        if os.getpid() != self.course.pid:
            return  # a child that was forked
        now = time.time()
        took = spent(self.workspace, self.course, now)
        said = words(took, self.course)
        replace(self.course, ended=now, said=said).write(self.workspace)
        if took.built or took.gpu_hours:
            print_line(said)
