"""Entry point of the scripts: options, parameters and named errors of one step.

Every script imports this module, so it is part of the code identity of every step. It therefore imports only the
standard library and ``tapeout.errors``; ``pydantic`` is imported when there are parameters to validate.
"""

import argparse
import errno
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, get_args, get_origin

from tapeout.errors import TapeoutError, fullest

Program = Callable[[], None]


class StepFailed(TapeoutError):
    """A step, or a program that a command starts, fails for a reason without a more specific error class."""


class DiskFull(TapeoutError):
    """No space is left on the device of a file that a step writes."""

    @classmethod
    def of(cls, error: OSError) -> "DiskFull":
        """Return the error for an ``OSError``; if that names no file, name the fullest of the step's folders."""
        variables = ("TMPDIR", "TAPEOUT_STATE", "TAPEOUT_DOWNLOADS")
        folders = (Path(os.environ[name]) for name in variables if name in os.environ)
        path = error.filename2 or error.filename or fullest(folders)
        return cls(f"No space is left on the device of {path}.", "Free some space there and run the same command.")


def step(parameters: type[Any] | None = None) -> Callable[[Callable[..., None]], Program]:
    """Turn a function into the program of a step.

    The function's parameters are filled by name:

    - ``job``: the rule's parameters, validated by the model ``parameters``;
    - ``output``: path of the new file or folder to write;
    - ``threads``: number of threads of the rule, at least 1; it must not affect the result;
    - ``action``: file that describes the step;
    - any other: the input of that name as ``Path``, or as ``list[Path]`` if the rule lists several; an input whose
      parameter has a default is optional.

    Args:
        parameters: model of the rule's parameters (a ``Section``), or ``dict`` for parameters without validation.
    """

    def decorate(main: Callable[..., None]) -> Program:
        @wraps(main)
        def program() -> None:
            with named_errors():
                main(**_arguments(main, parameters))
                _note_end()

        return program

    return decorate


@contextmanager
def named_errors() -> Iterator[None]:
    """Print a ``TapeoutError`` or a disk error without a traceback, and exit with status 1.

    Any other exception is a bug and keeps its traceback, which the runner writes into the step's log.
    """
    try:
        yield
    except TapeoutError as error:
        fail(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            fail(DiskFull.of(error))
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO):
            path, reason = error.filename2 or error.filename or "A file", os.strerror(error.errno)
            fix = "Correct its permissions, or repair the disk, and run again."
            if error.errno == errno.EROFS:
                fix = "Write below the output or TMPDIR: a step sees everything else read-only."
            fail(StepFailed(f"{path}: {reason}.", fix))
        raise


def fail(error: TapeoutError) -> None:
    """Print a named error and exit with status 1."""
    print(error, file=sys.stderr)
    raise SystemExit(1) from None


def _note_end() -> None:
    """Tell the runner that the step is complete, so that a late request to stop does not discard its output."""
    if stop := os.environ.get("TAPEOUT_STOP"):
        Path(stop).with_name("finished").touch()


def _arguments(main: Callable[..., None], parameters: type[Any] | None) -> dict[str, Any]:
    """Return the arguments of ``main`` from the command line and the environment of the step."""
    needed = inspect.signature(main).parameters
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--params", type=Path, required=True, help="parameters of the step, JSON")
    for name, parameter in needed.items():
        if name in ("job", "threads", "action"):
            continue
        several = list in (get_origin(form) for form in (parameter.annotation, *get_args(parameter.annotation)))
        required = parameter.default is inspect.Parameter.empty
        kind: dict[str, Any] = {"action": "append"} if several else {}
        default = None if required else parameter.default
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=required, default=default, **kind)
    arguments = vars(parser.parse_args())
    params = arguments.pop("params")
    if parameters is not None:
        arguments["job"] = _validated(parameters, params)
    if "threads" in needed:
        arguments["threads"] = int(os.environ.get("TAPEOUT_THREADS", "1"))
    if "action" in needed:
        arguments["action"] = Path(os.environ["TAPEOUT_ACTION"])
    return arguments


def _validated(model: type[Any], file: Path) -> Any:
    """Return the content of a parameter file as an instance of ``model``.

    Raises:
        StepFailed: a parameter does not fit the model.
    """
    content = file.read_bytes()
    if model is dict:
        return json.loads(content)
    from pydantic import ValidationError

    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "set"
        raise StepFailed(f"Parameter {name}: {first['msg']}.", "Correct it in the config file.") from error
