"""The graph on a real cluster: submitted jobs, their resources, and steps that are not submitted."""

import pytest

from tests.slurm.conftest import ALL, OnCluster

pytestmark = pytest.mark.slurm


def test_a_run_is_granted_whole_gpu_nodes_and_makes_the_same(project: OnCluster, undisturbed: dict[str, str]) -> None:
    before = project.cluster.submitted()
    run = project.run()
    assert project.digests() == undisturbed and sorted(project.digests()) == ALL
    jobs = project.cluster.accounted_after(before)
    assert [(job["Comment"], job["Partition"], job["State"]) for job in jobs] == [
        ("rule_prepared", "cpu", "COMPLETED"),
        ("rule_train", "gpu", "COMPLETED"),
    ]
    assert "gres/gpu=8" in jobs[1]["AllocTRES"] and jobs[1]["NNodes"] == "1"
    assert project.path("machine/gpus").read_text() == "0,1,2,3,4,5,6,7"
    assert "account" not in run.text.lower()


def test_what_is_there_already_submits_nothing(project: OnCluster) -> None:
    project.run()
    before = project.cluster.submitted()
    assert not project.run().built
    project.path("src/data.txt").write_text("b\na\n# only the order and a remark are new\n")
    run = project.run()
    assert (run.built, run.cut_off) == (["raw.txt"], ["model", "report.txt"])  # one job with the same output
    assert project.cluster.submitted() == before + 1
    project.path("src/data.txt").write_text("a\nb\n")
    run = project.run()
    assert run.status == 0 and not run.built
    assert project.cluster.submitted() == before + 1


def test_two_nodes_work_together_under_one_allocation(project: OnCluster) -> None:
    project.edit("config.yaml", "nodes: 1", "nodes: 2")
    before = project.cluster.submitted()
    project.run()
    job = project.cluster.accounted_after(before)[-1]
    assert (job["Comment"], job["NNodes"], job["State"]) == ("rule_train", "2", "COMPLETED")
    assert "gres/gpu=16" in job["AllocTRES"]
    assert {path.name: path.read_text() for path in project.path("machine/nodes").iterdir()} == {
        "gpu1": "0,1,2,3,4,5,6,7",
        "gpu2": "0,1,2,3,4,5,6,7",
    }
