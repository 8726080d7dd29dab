"""Select the tests of the environment that runs pytest.

A test file states the locked environment whose packages it needs: ``pytestmark = pytest.mark.environment("nemo")``. A
file without that mark runs in ``dev``. Run pytest with the Python of an environment, and it collects the files of that
environment alone; files and folders of the others are not imported.
"""

import ast
import os
import signal
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DEFAULT = "dev"

# how fast examples are generated depends on what else the machine does
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
HERE = Path(__file__).parent

# a shell without job control lets background programs ignore Ctrl-C, which tests send to the programs that they start
signal.signal(signal.SIGINT, signal.default_int_handler)

# threads of PyTorch that wait for each other leave the cores to the other tests
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# a make that a test starts is not part of the make that runs the tests
for variable in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(variable, None)


def running() -> str:
    """Return the name of the environment that runs: ``.envs/<name>-<digest>``, or ``dev`` for any other Python."""
    folder = Path(sys.prefix)
    return folder.name.rpartition("-")[0] if folder.parent.name == ".envs" else DEFAULT


@cache
def needed(path: Path) -> str:
    """Return the environment that a test file states."""
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.environment":
            return str(ast.literal_eval(node.args[0]))
    return DEFAULT


@cache
def offered(folder: Path) -> frozenset[str]:
    """Return the environments of all test files below a folder."""
    return frozenset(needed(path) for path in folder.rglob("test_*.py"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out tests that need another environment, before they are imported."""
    if collection_path.is_dir():
        return (running() not in offered(collection_path)) or None
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return (is_test and needed(collection_path) != running()) or None


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "environment(name): the locked environment whose packages the file needs")
