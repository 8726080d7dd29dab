"""Program of ``tapeout serve`` and ``tapeout chat`` in the environment ``serve``.

The request, a ``ServeJob`` or a ``ChatJob`` as JSON, is in an open file whose number the environment variable
``TAPEOUT_SERVE`` has.
"""

import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

from pydantic import Field, TypeAdapter

from tapeout.config.serving import VARIABLE, ChatJob, ServeJob
from tapeout.errors import TapeoutError
from tapeout.streams import replace_stderr, standard_streams, write_error

NAMED_ERROR = 3
"""Exit status after a ``TapeoutError``, as of the command line."""
REQUEST: TypeAdapter[ServeJob | ChatJob] = TypeAdapter(Annotated[ServeJob | ChatJob, Field(discriminator="program")])
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the program; Ctrl-C and other signals end it without a traceback."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the command line held it back
    job = read_job()
    replace_stderr()
    try:
        with standard_streams(NAMED_ERROR), _removed(job.scratch):
            serve(job) if isinstance(job, ServeJob) else chat(job)
    except TapeoutError as error:
        write_error(error)
        raise SystemExit(NAMED_ERROR) from None


def read_job() -> ServeJob | ChatJob:
    """Return the request."""
    with open(int(os.environ.pop(VARIABLE)), "rb") as file:
        content = file.read()
    return REQUEST.validate_json(content)


def serve(job: ServeJob) -> None:
    """Load the model and serve it."""
    from tapeout.serve.server import listen
    from tapeout.serve.server import serve as run

    with listen(job.host, job.port) as listener:
        write_error(f"Loading {job.model.name} …")
        _prepare(job.threads)
        from tapeout.serve.model import load

        run(load(job.model), job, listener)


def chat(job: ChatJob) -> None:
    """Load the models and answer what is typed."""
    if sys.stderr.isatty():
        write_error(f"Loading {', '.join(model.name for model in job.models)} …")
    _prepare(job.threads)
    from tapeout.serve.model import load
    from tapeout.serve.terminal import run

    models = [load(model) for model in job.models]
    if job.index is None:
        raise SystemExit(run(job, models))
    from tapeout.serve.passages import with_passages

    raise SystemExit(run(job, models, with_passages(Path(job.index), job.passages, job.threads)))


def _prepare(threads: int) -> None:
    """Set up the libraries: no progress bars and no remarks about themselves."""
    import torch
    from transformers.utils import logging

    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", module=r"(torch|transformers)\.")


@contextmanager
def _removed(folder: str | None) -> Iterator[None]:
    try:
        yield
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """End the process by an exception, so that temporary files are removed."""
    for known in SIGNALS:
        signal.signal(known, signal.SIG_DFL)  # a second signal ends it at once
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
