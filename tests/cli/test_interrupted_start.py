"""Ctrl-C while the interpreter of a command starts, before any code of the project runs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.identity.environment import read_environment

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("program", ["tapeout", "snakemake"])
def test_ctrl_c_while_an_interpreter_starts_gives_no_traceback(tmp_path: Path, program: str) -> None:
    for name in ("tapeout", "envs", "Snakefile", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    python = tmp_path / read_environment("workflow", tmp_path).folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    interrupted = "import os, runpy, signal, sys; os.kill(os.getpid(), signal.SIGINT); sys.argv = sys.argv[1:]; "
    interrupted += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    python.write_text(f'#!/bin/sh\nshift; exec {sys.executable} -c "{interrupted}" "$@"\n')
    python.chmod(0o755)
    command = [sys.executable, str(ROOT / "bin" / program), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT and not done.stdout + done.stderr
