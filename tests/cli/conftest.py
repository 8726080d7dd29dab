"""Fixtures of the graph's tests, and calls of the command line as a user makes them."""

import json
import sys
from typing import Any

from tests.graph.conftest import Project, built, project
from tests.starter import run_module

__all__ = ["built", "project"]


def call(where: Project, *arguments: str, columns: str = "100") -> tuple[int, str, str]:
    """Return exit code, output and errors of ``tapeout ARGUMENTS`` on a terminal of that width."""
    command = [sys.executable, "-m", "tapeout.cli", *arguments]
    done = run_module(command, where.root, {**where.variables(), "COLUMNS": columns}, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def as_json(where: Project, *arguments: str) -> tuple[int, Any]:
    """Return exit code and decoded output of ``tapeout ARGUMENTS --json``."""
    code, text, _ = call(where, *arguments, "--json")
    return code, json.loads(text)
