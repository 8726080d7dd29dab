"""``tapeout top`` and the summary of a run, on a real cluster."""

import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.slurm.conftest import OnCluster
from tests.slurm.processes import wait_until

pytestmark = pytest.mark.slurm


def top(where: OnCluster, *arguments: str) -> tuple[int, str]:
    """Return exit code and output of ``tapeout top``."""
    done = subprocess.run(
        [sys.executable, "-m", "tapeout.cli", "top", *arguments],
        cwd=where.root,
        env=where.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def row(where: OnCluster, artifact: str) -> dict[str, Any]:
    """Return the row of an artifact; empty if it is not shown."""
    code, text = top(where, "--json")
    rows = [] if code == 3 else json.loads(text)["rows"]
    return next((found for found in rows if found["artifact"] == artifact), {})


def shown(where: OnCluster, artifact: str, status: str) -> dict[str, Any]:
    """Wait until an artifact has a status, and return its row."""
    found: dict[str, Any] = {}

    def reached() -> bool:
        found.clear()
        found.update(row(where, artifact))
        return found.get("status") == status

    wait_until(reached, f"{artifact} {status}")
    return found


def test_a_training_is_followed_from_the_queue_to_its_end(project: OnCluster) -> None:
    filler = ("--parsable", "-p", "gpu", "-t", "9", "--exclusive", "--output=/dev/null", "--wrap", "sleep 999")
    before = project.cluster.submitted()
    others = [project.cluster.ask("sbatch", *filler) for _ in range(2)]
    project.fault("slow", "1")
    run = project.begin()
    try:
        queued = shown(project, "model", "queued")
        assert queued["reason"] in ("Resources", "Priority") and queued["gpus"] == 8 and queued["job"]
        assert row(project, "report.txt")["waits_for"] == ["model"]
        project.cluster.ask("scancel", *[other.strip() for other in others])
        project.steps(1)
        project.fault("slow", "1000")
        running = shown(project, "model", "running")
        assert running["job"] == queued["job"] and running["node"] in ("gpu1", "gpu2") and running["gpus"] == 8
        assert running["total"] and running["done"] and "loss" in running["values"]
        text = top(project, "--once")[1]
        assert re.search(rf"model +running +{running['job']} +8 +{running['node']} +\d+/\d+ ", text), text
        project.cluster.ask("scontrol", "requeue", running["job"])
        assert shown(project, "model", "requeued")["start"]
        project.cluster.hasten(running["job"])
        project.training()
    finally:
        project.fault()
        output = run.finish()
    code, text = top(project)
    assert code == 0
    summary = re.search(r"^Built 4 in [^:]*: .*GPU hours.* only waiting in the queue\.$", flat(output), re.MULTILINE)
    assert summary and summary[0] in flat(text), output
    attempts = [one for one in project.cluster.accounted_after(before) if one["JobIDRaw"] == queued["job"]]
    assert [one["State"] for one in attempts] == ["REQUEUED", "COMPLETED"]
    allocated = sum(8 * int(one["ElapsedRaw"]) for one in attempts) / 3600
    reported = re.search(r"([\d.]+) GPU hours", summary[0])
    # 8 GPUs for the duration of both attempts; the summary may be printed before the last end is recorded
    assert reported and abs(float(reported[1]) - allocated) <= 8 * 5 / 3600


def flat(text: str) -> str:
    """Return the text with wrapped lines joined."""
    return text.replace("\n  ", " ")


def test_jobs_of_a_killed_run_are_shown_without_its_progress(project: OnCluster) -> None:
    run, job, _ = project.begin_training(1)
    run.process.kill()
    run.process.wait(timeout=60)
    code, text = top(project)
    assert code == 1 and "was killed" in text and re.search(rf"model +running +{job} ", text), text
    (note,) = project.root.glob("work/*/progress.json")
    os.kill(json.loads(note.read_bytes())["pid"], signal.SIGKILL)
    ended = shown(project, "model", "ended")
    assert ended["reason"] == "without a result" and ended["job"] == job


def test_a_controller_that_is_away_is_reported_and_no_job_is_reported_as_ended(project: OnCluster) -> None:
    run, job, _ = project.begin_training(1)
    try:
        project.cluster.kill_daemon("slurmctld")
        try:
            code, text = top(project)
            assert code == 0 and "jobs are not known" in text, text
            assert re.search(rf"model +unknown +{job} ", text) and "last message" in text
        finally:
            project.cluster.restart_controller()
    finally:
        project.fault()
        run.finish()


def test_a_cancelled_job_is_shown_with_its_number_and_its_time_is_in_the_summary(project: OnCluster) -> None:
    run, job, _ = project.begin_training(2)
    project.cluster.ask("scancel", job)
    output = run.finish(ok=False)
    code, text = top(project)
    assert code == 1 and re.search(rf"✗ model +job {job} .*CANCELLED", text), text
    assert re.search(r"^Built 2 of 4 in [^:]*, 1 failed: .*GPU hours", flat(output), re.MULTILINE), output
