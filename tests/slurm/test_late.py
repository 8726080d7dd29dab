"""A shared file system with a delay: a file written on one node appears on another node seconds later.

The submit node sees the project through a file system (bindfs) whose kernel caches existing and missing entries for
five seconds, as NFS clients do; the nodes see it directly.
"""

import subprocess

import pytest

from tests.slurm.conftest import ALL, OnCluster

pytestmark = pytest.mark.slurm

SECONDS = 5
LATE = ",".join(f"{what}_timeout={SECONDS}" for what in ("entry", "negative", "attr"))
MOUNTED = f'bindfs -o {LATE} "$0" "$0" && cd "$0" && exec "$@"'
"""In a separate mount namespace, so that only this process and its children see the delay."""


def run(project: OnCluster, *arguments: str) -> str:
    """Run on a submit node that sees all changes with a delay."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", MOUNTED, str(project.root), *project.command(*arguments)],
        env=project.variables(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return text


def test_a_late_file_system_changes_nothing(project: OnCluster, undisturbed: dict[str, str]) -> None:
    before = project.cluster.submitted()
    run(project)
    assert project.digests() == undisturbed and sorted(project.digests()) == ALL
    assert project.cluster.submitted() == before + 2
    project.path("src/data.txt").write_text("c\n")
    run(project)
    changed = project.digests()
    assert changed != undisturbed
    project.path("src/data.txt").write_text("a\nb\n")
    run(project)
    assert project.digests() == undisturbed
    assert project.cluster.submitted() == before + 4
