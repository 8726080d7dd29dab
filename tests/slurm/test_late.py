"""A shared file system that is late: what one side writes appears to the other side seconds later.

The submit node sees the project through a file system (bindfs) whose kernel side remembers for five seconds what is
there, and also what is not there, as NFS clients do; the nodes see it directly.
"""

import subprocess

import pytest

from tests.slurm.conftest import ALL, OnCluster

pytestmark = pytest.mark.slurm

SECONDS = 5
LATE = ",".join(f"{what}_timeout={SECONDS}" for what in ("entry", "negative", "attr"))
MOUNTED = f'bindfs -o {LATE} "$0" "$0" && cd "$0" && exec "$@"'
"""In a mount namespace of its own, so that only this process and its children see the folder so."""


def run(project: OnCluster, *arguments: str) -> str:
    """Run on a submit node that sees everything late."""
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
