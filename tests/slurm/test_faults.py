"""Faults on a cluster: each ends in the right result, or in one message with job, node and log."""

import os
import re
import signal
from collections import Counter

import pytest

from tests.slurm.conftest import OnCluster
from tests.slurm.processes import processes_of, wait_until

pytestmark = pytest.mark.slurm

MESSAGE = r"✗ model  job (\d+) on (gpu\d): {state}.*log: (\S+\.log)"


def job_message(project: OnCluster, text: str, state: str) -> re.Match[str]:
    """Return the match of the message about the failed training."""
    found = re.search(MESSAGE.format(state=state), text)
    assert found and (project.root / found[3]).exists(), text
    assert "Traceback" not in text and "\n  fix: " in text
    return found


def trainings(project: OnCluster, after: int) -> Counter[str]:
    """Return how the trainings submitted after job ``after`` ended; each start of a requeued job counts."""
    jobs = [job for job in project.cluster.accounted_after(after) if job["Comment"] == "rule_train"]
    return Counter(job["State"].split()[0] for job in jobs)


def test_an_error_of_the_program_is_shown_and_not_retried(project: OnCluster, undisturbed: dict[str, str]) -> None:
    project.fault("exit")
    before = project.cluster.submitted()
    text = project.run(ok=False).text
    job_message(project, text, "FAILED")
    assert "the data is not suitable" in text
    assert trainings(project, before) == Counter({"FAILED": 1})
    project.fault()
    run = project.run()
    assert project.digests() == undisturbed and run.status == 0


def test_a_job_that_exceeds_its_memory_is_reported(project: OnCluster, undisturbed: dict[str, str]) -> None:
    project.edit("config/site.yaml", "gpu: {memory_gb: 2", "gpu: {memory_gb: 1")
    project.fault("memory", "14")
    text = project.run(ok=False).text
    job_message(project, text, "OUT_OF_MEMORY")
    assert "memory_gb" in text
    project.fault()
    project.run()
    assert project.digests() == undisturbed


def test_a_program_that_ignores_the_time_limit_is_reported(project: OnCluster, undisturbed: dict[str, str]) -> None:
    project.edit("config/site.yaml", "minutes: 5}\n  cpu", "minutes: 1}\n  cpu")
    project.fault("deaf")
    job_message(project, project.begin().finish(ok=False), "TIMEOUT")
    project.fault()
    project.run()
    assert project.digests() == undisturbed


def test_a_job_that_the_user_cancels_is_not_retried_and_can_resume(
    project: OnCluster, undisturbed: dict[str, str]
) -> None:
    process, job, _ = project.begin_training(2)
    project.cluster.ask("scancel", job)
    assert job_message(project, process.finish(ok=False), "CANCELLED")[1] == job
    project.fault("slow", "1")
    process = project.begin()
    job = project.training()
    project.steps(project.done() + 2)
    project.fault("slow", "1000")
    os.killpg(process.process.pid, signal.SIGINT)
    text = process.finish(ok=False)
    assert "Stopping after Ctrl-C" in text and "Cancelling 1 jobs in the cluster" in text, text
    assert process.process.returncode == 128 + signal.SIGINT and "Traceback" not in text, text
    assert "Resume by running the same command." in text
    wait_until(lambda: not project.jobs(), f"the end of job {job}")
    project.fault()
    text = project.run().text
    assert project.digests() == undisturbed, text
    assert "resuming at step" in project.path("logs/model.log").read_text()


def test_an_approaching_time_limit_requeues_the_job_which_resumes(
    project: OnCluster, undisturbed: dict[str, str]
) -> None:
    project.edit("config/site.yaml", "minutes: 5}\n  cpu", "minutes: 1}\n  cpu")
    project.fault("slow", "8")
    process = project.begin()
    job = project.training()
    wait_until(lambda: list(project.root.glob("work/*/restarts")), "the restart", 120)
    project.fault()
    project.cluster.hasten(job)
    process.finish()
    assert project.digests() == undisturbed
    assert "resuming at step" in project.path("logs/model.log").read_text()
    assert not list(project.root.glob("work/*/state"))


def test_a_preempted_job_saves_a_checkpoint_and_resumes(project: OnCluster, undisturbed: dict[str, str]) -> None:
    process, job, _ = project.begin_training(2)
    urgent = "--partition=urgent --nodes=2 --gres=gpu:8 --exclusive --time=1 --output=/dev/null --wrap"
    other = project.cluster.ask("sbatch", "--parsable", *urgent.split(), "sleep 8").strip()
    project.cluster.hasten(job)
    project.fault()
    text = process.finish()
    assert project.digests() == undisturbed, text
    assert "resuming at step" in project.path("logs/model.log").read_text()
    restarts = project.cluster.ask("scontrol", "show", "job", job)
    assert "Restarts=1" in restarts, restarts
    project.cluster.ask("scancel", other, check=False)


def test_restarts_are_bounded(project: OnCluster) -> None:
    project.edit("config/site.yaml", "max_restarts: 3", "max_restarts: 1")
    project.fault("slow", "1")
    process = project.begin()
    for count in (1, 2):
        job = project.training()
        project.steps(project.done() + 2)  # of this attempt, so that it runs
        project.fault("slow", "1000")
        running = processes_of("-m tapeout.graph.run.runner scripts/train.py", project.root)
        assert running
        os.kill(running[-1], signal.SIGUSR1)
        if count == 1:
            wait_until(lambda: list(project.root.glob("work/*/restarts")), "the restart")
            project.fault("slow", "1")
            project.cluster.hasten(job)
    text = process.finish(ok=False)
    job_message(project, text, "FAILED")
    assert "has been requeued 1 times" in text


def test_a_node_that_dies_is_replaced_and_the_training_is_done_once(
    project: OnCluster, undisturbed: dict[str, str]
) -> None:
    process, job, node = project.begin_training(2)
    project.cluster.kill_node(node)
    project.fault()
    try:
        project.cluster.hasten(job)
        process.finish()
    finally:
        project.cluster.start_node(node)
        project.cluster.wait_for_idle()
    assert project.digests() == undisturbed


def test_restarted_daemons_have_no_effect(project: OnCluster, undisturbed: dict[str, str]) -> None:
    process, _, node = project.begin_training(1)
    project.cluster.kill_daemon(f"slurmd.{node}")
    project.cluster.start_node(node)
    project.cluster.kill_daemon("slurmctld")
    project.cluster.restart_controller()
    project.fault()
    process.finish()
    assert project.digests() == undisturbed


def test_a_submission_waits_for_a_controller_that_is_away(project: OnCluster, undisturbed: dict[str, str]) -> None:
    before = project.cluster.submitted()
    process = project.begin()
    wait_until(lambda: project.cluster.submitted() > before, "the first job")
    with process.suspended():  # the controller must have the first job's end, and must not have the second job
        project.cluster.accounted_after(before)
        project.cluster.kill_daemon("slurmctld")
    wait_until(lambda: processes_of("tapeout.slurm.submit", project.root), "an attempt to submit")
    with process.suspended():
        project.cluster.restart_controller()
    process.finish()
    assert project.digests() == undisturbed


def test_a_second_driver_waits_for_the_jobs_of_the_first(project: OnCluster, undisturbed: dict[str, str]) -> None:
    first, job, _ = project.begin_training(1)
    first.kill()
    before = project.cluster.submitted()
    second = project.begin()
    second.wait_for(f"Waiting for jobs of an earlier run: {job} (train, running on gpu")
    project.fault()
    second.finish()
    assert project.digests() == undisturbed
    assert project.cluster.submitted() == before
