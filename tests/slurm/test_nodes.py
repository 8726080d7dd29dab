"""One program on two nodes of a real cluster, bare and in containers; only the containers' runtimes are stand-ins."""

import pytest

from tests.graph.stand_ins import StandIns, stand_ins
from tests.slurm.conftest import OnCluster

pytestmark = pytest.mark.slurm

IMAGE = "registry.example.org/lab/nemo@sha256:" + "1" * 64
ALL_GPUS = ",".join(str(number) for number in range(8))

CONTAINER = f"""    container:
        layer.container("{IMAGE}", "python3")
    shell:
        build("scripts/train.py")"""


class WithRuntimes(OnCluster):
    """The project with stand-ins before Slurm's own commands."""

    runtimes: StandIns

    def variables(self) -> dict[str, str]:
        found = super().variables()
        return {**found, "PATH": f"{self.runtimes.folder}:{found['PATH']}"}


def on_two_nodes(project: OnCluster) -> None:
    project.edit("config.yaml", "nodes: 1", "nodes: 2")


def in_container(project: OnCluster, runtime: str) -> WithRuntimes:
    """The training runs in a container, which the site starts with a runtime."""
    project.edit("rules/steps.smk", '    shell:\n        build("scripts/train.py")', CONTAINER)
    project.edit("config/site.yaml", "container: {", f"container: {{runtime: {runtime}, ")
    found = WithRuntimes(project.root, project.cluster)
    python = project.root / project.environment("light").folder / "bin" / "python"
    found.runtimes = stand_ins(project.root / "bin", python, str(project.cluster.root / "bin" / "srun"))
    return found


def ran_on(project: OnCluster) -> dict[str, str]:
    """GPUs that the program saw, by node."""
    return {path.name: path.read_text() for path in sorted(project.path("machine/nodes").iterdir())}


def test_the_program_starts_on_both_nodes(project: OnCluster) -> None:
    on_two_nodes(project)
    before = project.cluster.submitted()
    project.run("train")
    assert ran_on(project) == {"gpu1": ALL_GPUS, "gpu2": ALL_GPUS}
    job = project.cluster.accounted_after(before)[-1]
    assert (job["NNodes"], job["State"]) == ("2", "COMPLETED")


@pytest.mark.parametrize("runtime", ["apptainer", "pyxis"])
def test_in_a_container_on_both_nodes(project: OnCluster, runtime: str) -> None:
    on_two_nodes(project)
    contained = in_container(project, runtime)
    contained.run("train")
    assert ran_on(project) == {"gpu1": ALL_GPUS, "gpu2": ALL_GPUS}
    starts = contained.runtimes.calls("task" if runtime == "pyxis" else runtime)
    assert sorted(start["variables"]["SLURM_NODEID"] for start in starts) == ["0", "1"]
    assert {start["variables"]["TAPEOUT_NODES"] for start in starts} == {"2"}
    assert len({start["variables"]["TAPEOUT_RENDEZVOUS"] for start in starts}) == 1


def test_a_step_of_the_job_on_one_node(project: OnCluster) -> None:
    """Pyxis starts a step inside the one in which the runner is, with the same GPUs."""
    contained = in_container(project, "pyxis")
    contained.run("train")
    assert project.path("machine/gpus").read_text() == ALL_GPUS
    assert len(contained.runtimes.calls("pyxis")) == 1


def test_nodes_without_their_gpus_are_named(project: OnCluster) -> None:
    """The cluster's GPUs are fake: a program that needs them must not start, and the reason is reported."""
    on_two_nodes(project)
    project.edit("rules/steps.smk", "**site.gpu_nodes(training)", '**{**site.gpu_nodes(training), "device": "gpu"}')
    text = project.run("train", ok=False).text
    assert "CannotStart: " in text
    for name in ("gpu1", "gpu2"):
        assert f"node {name} has no nvidia-smi, and 8 GPUs are required" in text
    assert not project.path("machine/nodes").exists()


def test_the_program_of_one_node_fails_for_both(project: OnCluster) -> None:
    """The named error of a program is reported although the last line of the log is srun's."""
    on_two_nodes(project)
    script = project.path("scripts/train.py")
    failing = 'sys.exit("Bad: this node does not like it.\\n  fix: Do not ask it.")'
    text = script.read_text().replace("        sys.exit()\n", f"        {failing}\n", 1)
    assert text != script.read_text()
    script.write_text(text)
    project.fault("slow", "60")
    text = project.run("train", ok=False).text
    assert "Bad: this node does not like it." in text and "Do not ask it." in text
