"""The entry point of scripts: arguments from the signature, named errors without a traceback."""

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.section import Section
from tapeout.errors import TapeoutError
from tapeout.program import StepFailed, named_errors, step


class Job(Section):
    """Parameters of a step."""

    lr: float


def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, params: dict[str, Any], *options: str) -> dict[str, Any]:
    """Return the arguments that a program with every kind of parameter gets."""
    (tmp_path / "params.json").write_text(json.dumps(params))
    monkeypatch.setattr(sys, "argv", ["script", "--params", str(tmp_path / "params.json"), *options])
    seen: dict[str, Any] = {}

    @step(Job)
    def main(
        job: Job,
        model: Path,
        more_rows: list[Path],
        threads: int,
        action: Path,
        output: Path,
        near: Path | None = None,
        shards: list[Path] | None = None,
    ) -> None:
        seen.update({name: value for name, value in locals().items() if name != "seen"})

    main()
    return seen


def test_arguments_follow_the_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEOUT_THREADS", "3")
    monkeypatch.setenv("TAPEOUT_ACTION", "/action.json")
    options = ("--model", "m", "--more-rows", "a", "--more-rows", "b", "--output", "o")
    seen = call(monkeypatch, tmp_path, {"lr": 0.5}, *options, "--shards", "s")
    assert seen == {
        "job": Job(lr=0.5),
        "model": Path("m"),
        "more_rows": [Path("a"), Path("b")],
        "threads": 3,
        "action": Path("/action.json"),
        "output": Path("o"),
        "near": None,
        "shards": [Path("s")],
    }


@pytest.mark.parametrize("options", [(), ("--model", "m", "--output", "o"), ("--mod", "m")])
def test_missing_and_abbreviated_options_are_refused(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, tmp_path, {"lr": 0.5}, *options)
    assert ended.value.code == 2


def test_parameters_that_do_not_fit_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(monkeypatch, tmp_path, {"lr": 0.5, "beams": 2}, "--model", "m", "--more-rows", "a", "--output", "o")
    printed = capsys.readouterr().err
    assert ended.value.code == 1 and "StepFailed: Parameter beams: " in printed and "\n  fix: " in printed


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StepFailed("The model is empty.", "Train it."), "StepFailed: The model is empty.\n  fix: Train it.\n"),
        (OSError(errno.ENOSPC, "No space", "/x"), "DiskFull: No space is left on the device of /x."),
        (OSError(errno.EDQUOT, "Quota", "/x", None, "/y"), "DiskFull: No space is left on the device of /y."),
        (OSError(errno.EROFS, "Read-only", "/x"), "StepFailed: /x: Read-only file system."),
    ],
)
def test_named_errors_have_no_traceback(error: Exception, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), named_errors():
        raise error
    assert capsys.readouterr().err.startswith(message)
    with pytest.raises(ZeroDivisionError), named_errors():
        raise ZeroDivisionError
    assert issubclass(StepFailed, TapeoutError)
