"""Real NeMo on the cluster: two nodes train one model, are stopped half-way, and give the result of one machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Clone, clone
from tests.slurm.cluster import Cluster
from tests.slurm.processes import processes_of, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3000)]

LAYOUT = """\
dapt: {max_steps: 300, micro_batch_size: 2, layout: {num_nodes: 2, devices: 1}, threads: 1}
sft: {micro_batch_size: 2, layout: {num_nodes: 2, devices: 1}, threads: 1}
"""
CONFIG = ["--configfile", "tiny/config.yaml", "two_nodes.yaml"]


def start(made: Clone, cluster: Cluster | None, target: str) -> "subprocess.Popen[str]":
    """Start a run, in the cluster if there is one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "TAPEOUT_DOWNLOADS": str(made.root / "downloads"), "PATH": path}
    profile = []
    if cluster is not None:
        variables |= cluster.variables | {"PATH": f"{cluster.root / 'bin'}:{path}"}
        profile = ["--profile", "slurm", "--seconds-between-status-checks", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", target, *profile, *CONFIG],
        cwd=made.root,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    text, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, text
    return text


def test_two_nodes_stopped_and_resumed_make_what_one_machine_makes(tmp_path: Path, cluster: Cluster) -> None:
    here, there = clone(tmp_path / "here"), tmp_path / "there"
    (here.root / "two_nodes.yaml").write_text(LAYOUT)
    finish(start(here, None, "nemo_base"))
    shutil.copytree(here.root, there, symlinks=True)  # the steps upstream of the trainings are not built twice
    finish(start(here, None, "sft"))

    on_cluster, before = Clone(there), cluster.submitted()
    run = start(on_cluster, cluster, "sft")
    done = re.compile(r'"artifact":"dapt/model".*"done":(\d+)')

    def under_way() -> bool:
        notes = [path.read_text() for path in there.glob("work/*/progress.json")]
        return any(int(found[1]) >= 5 for note in notes if (found := done.search(note)))

    wait_until(under_way, "step 5 of the training", 240)
    os.kill(processes_of("-m tapeout.graph.run.runner scripts/dapt.py", there)[-1], signal.SIGUSR1)
    text = finish(run)
    assert on_cluster.digests() == here.digests(), text
    assert re.search("resuming from step [1-9]", (there / "logs/dapt/model.log").read_text())
    jobs = {job["Comment"]: job for job in cluster.accounted_after(before) if job["State"] == "COMPLETED"}
    for rule in ("rule_dapt", "rule_sft"):
        assert jobs[rule]["NNodes"] == "2" and "gres/gpu=16" in jobs[rule]["AllocTRES"]
