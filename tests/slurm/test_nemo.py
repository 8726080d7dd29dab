"""Real NeMo on the cluster: two nodes are stopped by their time limit and write the model that one machine writes."""

import contextlib
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

RANKS = 4
CONFIG = """\
dapt:
  max_steps: 200
  micro_batch_size: 2
  layout: {num_nodes: 2, devices: 2, tensor_model_parallel_size: 2}
  threads: 1
site: site.yaml
"""
SITE = """\
slurm: {gpu: {minutes: 3}}
training: {exit_before_limit_minutes: 1}
"""
"""At most a quarter of the time limit is reserved for the checkpoint, 45 s here."""
DONE = re.compile(r'"artifact":"dapt/model".*"done":(\d+)')
SECONDS = 900
"""Time limit of a wait, which takes a minute on an idle machine."""


def start(made: Clone, cluster: Cluster | None, target: str) -> "subprocess.Popen[str]":
    """Start a run, in the cluster if there is one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "TAPEOUT_DOWNLOADS": str(made.root / "downloads"), "PATH": path}
    profile = []
    if cluster is not None:
        variables |= cluster.variables | {"PATH": f"{cluster.root / 'bin'}:{path}"}
        profile = ["--profile", "slurm", "--seconds-between-status-checks", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", target, *profile, "--configfile", "tiny/config.yaml", "two_nodes.yaml"],
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


def ranks(folder: Path) -> list[int]:
    """Return the processes that train in a folder, of both nodes."""
    found = []
    for pid in processes_of("scripts/dapt.py", folder):
        with contextlib.suppress(OSError):
            if b"\0LOCAL_RANK=" in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def send(processes: list[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def test_two_nodes_reach_their_time_limit_and_write_what_one_machine_writes(tmp_path: Path, cluster: Cluster) -> None:
    """Tensor parallelism 2 x data parallelism 2, two ranks on each node."""
    here, there = clone(tmp_path / "here"), tmp_path / "there"
    (here.root / "two_nodes.yaml").write_text(CONFIG)
    (here.root / "site.yaml").write_text(SITE)
    finish(start(here, None, "nemo_base"))
    shutil.copytree(here.root, there, symlinks=True)  # the steps upstream of the training are not built twice
    finish(start(here, None, "dapt"))

    on_cluster, before = Clone(there), cluster.submitted()
    run = start(on_cluster, cluster, "dapt")

    def under_way() -> bool:
        notes = [path.read_text() for path in there.glob("work/*/progress.json")]
        return any(int(found[1]) >= 5 for note in notes if (found := DONE.search(note)))

    wait_until(under_way, "step 5 of the training", SECONDS)
    held = ranks(there)  # until the time limit, however fast the machine is
    send(held, signal.SIGSTOP)
    try:
        assert len(held) == RANKS
        wait_until(
            lambda: list(there.glob("work/*/control/stop")), "the request to stop before the time limit", SECONDS
        )
    finally:
        send(held, signal.SIGCONT)
    (job,) = [id_ for id_, _, comment in cluster.queue() if comment == "rule_dapt"]
    cluster.hasten(job)
    text = finish(run)
    assert on_cluster.digests() == here.digests(), text
    assert re.search("resuming from step [1-9]", (there / "logs/dapt/model.log").read_text())
    jobs = [one for one in cluster.accounted_after(before) if one["Comment"] == "rule_dapt"]
    assert {one["JobIDRaw"] for one in jobs} == {job} and len(jobs) > 1, "the same job, requeued"
    assert jobs[-1]["State"] == "COMPLETED"
    assert all(one["NNodes"] == "2" and "gres/gpu=16" in one["AllocTRES"] for one in jobs)
    (printed,) = (there / ".snakemake/slurm_logs").rglob(f"{job}.log")
    assert f"stopped by the time limit; job {job} is requeued" in printed.read_text()


def test_a_variant_of_a_sweep_is_built_on_the_cluster(tmp_path: Path, cluster: Cluster) -> None:
    """The name of its rule, with its choices, is part of the command of the job."""
    made = clone(tmp_path / "clone")
    (made.root / "two_nodes.yaml").write_text("sweep: {axes: {tokenizer.new_pieces: [64], sft.lr: [0.1]}}\n")
    text = finish(start(made, cluster, "sweep/new_pieces=64/tokenizer"))
    assert "> sweep/new_pieces=64/tokenizer" in text and "✓ sweep/new_pieces=64/tokenizer" in text
    assert "sweep/new_pieces=64/tokenizer" in made.digests()
