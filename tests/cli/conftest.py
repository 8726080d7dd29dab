"""Fixtures of the graph's tests, and calls of the command line as a user makes them."""

import json
import subprocess
import sys
from typing import Any

from tests.graph.conftest import Project, built, project

__all__ = ["built", "project"]


def call(where: Project, *arguments: str, columns: str = "100") -> tuple[int, str, str]:
    """Return exit code, output and errors of ``tapeout ARGUMENTS`` on a terminal of that width."""
    done = subprocess.run(
        [sys.executable, "-m", "tapeout.cli", *arguments],
        cwd=where.root,
        env={**where.variables(), "COLUMNS": columns},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def as_json(where: Project, *arguments: str) -> tuple[int, Any]:
    """Return exit code and decoded output of ``tapeout ARGUMENTS --json``."""
    code, text, _ = call(where, *arguments, "--json")
    return code, json.loads(text)
