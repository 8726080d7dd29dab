"""No way into a step changes its result without changing its action."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hermetic.code_ways import IMPOSSIBLE, NO_EFFECT, NOTICED
from tests.hermetic.ways import WAYS

ROOT = Path(__file__).resolve().parents[2]
NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
"""Forbids namespaces in a namespace of users, as some systems do everywhere."""
HOOK_WAYS = [name for name, row in WAYS.items() if len(row) == 3 or row[3] is not None]


def tried(folder: Path, names: list[str], prefix: list[str]) -> dict[str, dict[str, Any]]:
    """Return what came out of each way."""
    command = [*prefix, sys.executable, "-m", "tests.hermetic.builds", str(folder), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return {line["way"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results with the isolation that this machine permits."""
    return tried(tmp_path_factory.mktemp("ways"), list(WAYS), [])


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Results where namespaces are forbidden."""
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        prefix = []  # they are forbidden already
    return tried(tmp_path_factory.mktemp("ways"), HOOK_WAYS, prefix)


def kind(result: dict[str, Any]) -> str:
    """Return what became of a way, from the results of both values."""
    first, second = result["outcomes"]
    if not result["same"]:
        return NOTICED
    if first.startswith("error: ") and second.startswith("error: "):
        return IMPOSSIBLE
    return NO_EFFECT if first == second else f"STALE: {first!r} and {second!r} under one action"


@pytest.mark.parametrize("name", list(WAYS))
def test_ways(isolated: dict[str, dict[str, Any]], name: str) -> None:
    result = isolated[name]
    namespace = all(line.startswith("isolation: mount namespace") for line in result["isolation"])
    row = WAYS[name]
    if not namespace and len(row) == 4 and row[3] is None:
        assert all(line.startswith("isolation: audit hook") for line in result["isolation"]), "it is said"
        return
    assert kind(result) == row[2], result


@pytest.mark.parametrize("name", HOOK_WAYS)
def test_ways_without_namespaces(hooked: dict[str, dict[str, Any]], name: str) -> None:
    result, row = hooked[name], WAYS[name]
    assert not any(line.startswith("isolation: mount namespace") for line in result["isolation"])
    assert kind(result) == (row[3] if len(row) == 4 else row[2]), result
