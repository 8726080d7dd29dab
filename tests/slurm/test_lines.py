"""profiles/slurm-dryrun prints exactly the commands that a run submits."""

import shlex
import shutil
from pathlib import Path

import pytest

from tests.graph.conftest import ROOT
from tests.slurm.conftest import OnCluster

pytestmark = pytest.mark.slurm

RECORDER = """#!/bin/sh
printf '%s\\n' "$@" --END-- >> {record}
exec {real} "$@"
"""


def lines(where: OnCluster, *arguments: str) -> list[str]:
    """Return the output of a dry run."""
    shutil.copytree(ROOT / "profiles/slurm-dryrun", where.root / "profiles/slurm-dryrun", dirs_exist_ok=True)
    run = where.run("--profile", "profiles/slurm-dryrun", *arguments)
    assert "GPUs that are allocated and not used" in run.text and "model (8)" in run.text
    return [line for line in run.text.splitlines() if line.startswith(("sbatch", "#"))]


def submitted(record: Path) -> list[list[str]]:
    """Return the options of each submission, without the name of the run and the command."""
    found = []
    for text in record.read_text().split("--END--\n")[:-1]:
        words = text.partition("--wrap=")[0].splitlines()
        words[words.index("--job-name") + 1] = "RUN"
        found.append(words)
    return found


def test_the_lines_are_those_of_a_run(project: OnCluster, tmp_path: Path) -> None:
    site = project.path("config/site.yaml")
    site.write_text(site.read_text().replace("slurm:\n", "slurm:\n  account: lab\n", 1))
    before = project.cluster.submitted()
    printed = lines(project)
    assert project.cluster.submitted() == before, "nothing was submitted"
    assert [line for line in printed if line.startswith("#")] == ["# raw.txt: here", "# report.txt: here"]
    words = [shlex.split(line, comments=True) for line in printed if line.startswith("sbatch")]
    assert [line.rpartition("# ")[2] for line in printed if line.startswith("sbatch")] == ["prepared.txt", "model"]
    assert words[0][words[0].index("-A") + 1] == "lab"
    assert "--gres=gpu:8" in words[1] and "--nodes=1" in words[1]

    real, record = project.cluster.root / "bin" / "sbatch", tmp_path / "record"
    kept = real.read_bytes()
    moved = real.with_name("sbatch.real")
    moved.write_bytes(kept)
    moved.chmod(0o755)
    real.write_text(RECORDER.format(record=record, real=moved))
    try:
        project.run()
    finally:
        real.write_bytes(kept)
    assert submitted(record) == [line[1:] for line in words]


def test_without_a_cluster_there_are_no_lines(project: OnCluster) -> None:
    run = project.run("--dry-run", "--printshellcmds", "--executor", "local", "--cores", "2")
    assert "sbatch" not in run.text
