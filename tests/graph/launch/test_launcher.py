"""Command and variables that start a program, for each runtime."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.environment import Environment
from tapeout.graph.launch import sandbox
from tapeout.graph.launch.launcher import CannotStart, Launch, Program, enroot_name, rendezvous_port, start

DIGEST = "ab" * 32
IMAGE = Container(f"nvcr.io/nvidia/nemo:25.07@sha256:{DIGEST}")
BARE = Environment("nemo", {}, "cd" * 32, "3.11")
JOB = {
    **{"PATH": "/usr/bin", "HOME": "/home/me", "USER": "me", "SLURM_JOB_ID": "31", "SLURM_CPU_BIND": "quiet,mask"},
    "TAPEOUT_SUBMITTED": "1",
    **{"SLURM_NNODES": "1", "CUDA_VISIBLE_DEVICES": "0,1", "UNRELATED": "x"},
}
VARIABLES = {name: JOB[name] for name in JOB if name != "UNRELATED"} | {
    "HF_TOKEN": "hunter2",
    "TMPDIR": "/tmp/tapeout-x/t",
}


def program(environment: Environment | Container, nodes: int = 1, gpus: int = 0) -> Program:
    command, scratch = ("scripts/x.py", "--output", "o"), Path.cwd() / "work" / "1"
    shown = {"folders": (scratch,), "code": Path("/trees/1"), "here": scratch / "tmp" / "here"}
    return Program(command, environment, VARIABLES, scratch, nodes=nodes, gpus=gpus, **shown)


def test_a_bare_start_on_one_machine_is_the_program_itself() -> None:
    """Also for several nodes without a job, where the program starts all processes itself."""
    for nodes, caller in [(1, JOB), (4, {"PATH": "/usr/bin"})]:
        result = start(Launch(), program(BARE, nodes), caller)
        assert result.command == [str(BARE.python), "scripts/x.py", "--output", "o"]
        assert result.variables == VARIABLES
        assert result.signal is signal.SIGTERM and result.program_status(75) == 75


def test_a_bare_start_on_nodes_uses_srun() -> None:
    isolated = replace(program(BARE, 2), specification=("/scratch/sandbox.json", "0" * 64))
    result = start(Launch(), isolated, JOB, "gpu1:20031")
    shown = [sandbox.__file__, "/scratch/sandbox.json", "0" * 64, "--", "/tapeout/env/bin/python"]
    assert result.command[-8:-3] == shown
    result = start(Launch(), program(BARE, 2), JOB, "gpu1:20031")
    step = ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--overlap"]
    assert result.command[:5] == step and "--export=ALL" in result.command
    assert result.command[-4:] == [str(BARE.python), "scripts/x.py", "--output", "o"]
    assert result.variables["TAPEOUT_NODES"] == "2" and result.variables["TAPEOUT_RENDEZVOUS"] == "gpu1:20031"
    assert result.variables["TMPDIR"] == str(Path.cwd() / "work" / "1" / "tmp"), "on a file system that all nodes share"
    assert not {"SLURM_CPU_BIND", "SLURM_NNODES", "CUDA_VISIBLE_DEVICES"} & result.variables.keys()
    assert result.variables["SLURM_JOB_ID"] == "31"
    assert result.signal is signal.SIGUSR1, "srun kills its tasks on SIGTERM"


@pytest.mark.parametrize("nodes", [1, 2])
def test_apptainer_start(nodes: int) -> None:
    result = start(Launch("apptainer"), program(IMAGE, nodes, gpus=16), JOB, "gpu1:20031")
    inner = result.command[result.command.index("exec") - 1 :]
    assert inner[:5] == ["apptainer", "exec", "--cleanenv", "--no-home", "--nv"]
    assert f"docker://nvcr.io/nvidia/nemo@sha256:{DIGEST}" in inner
    assert inner[-4:] == ["python3", "scripts/x.py", "--output", "o"]
    assert (result.command[0] == "srun") == (nodes > 1)
    assert result.variables["APPTAINERENV_HF_TOKEN"] == "hunter2" and "hunter2" not in " ".join(result.command)
    assert "APPTAINERENV_PATH" not in result.variables and "UNRELATED" not in result.variables
    assert ("APPTAINERENV_CUDA_VISIBLE_DEVICES" in result.variables) == (nodes == 1), "each node has its own value"
    assert ("APPTAINERENV_TAPEOUT_NODES" in result.variables) == (nodes > 1)


def test_apptainer_without_gpus() -> None:
    assert "--nv" not in start(Launch("apptainer"), program(IMAGE), JOB).command


@pytest.mark.parametrize("nodes", [1, 2])
def test_pyxis_start(nodes: int) -> None:
    result = start(Launch("pyxis", ("/data", "/a:/b:ro")), program(IMAGE, nodes), JOB, "gpu1:20031")
    options = dict(option.partition("=")[::2] for option in result.command if option.startswith("--"))
    assert options["--nodes"] == str(nodes)
    assert options["--container-image"] == f"nvcr.io#nvidia/nemo:sha256:{DIGEST}"
    assert options["--container-mounts"].endswith(",/data:/data,/a:/b:ro")
    assert options["--container-workdir"] == str(Path.cwd() / "work/1/tmp/here")
    inner, exported = (set(options[name].split(",")) for name in ("--container-env", "--export"))
    assert inner < exported and {"HF_TOKEN", "TMPDIR", "TAPEOUT_CODE"} <= inner and not {"PATH", "HOME"} & inner
    assert {"PATH", "HOME", "SLURM_JOB_ID"} <= exported, "needed by the runtime"
    assert "hunter2" not in " ".join(result.command) and result.variables["HF_TOKEN"] == "hunter2"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nvidia/nemo", "nvidia/nemo"),
        ("nvcr.io/nvidia/nemo:25.07", "nvcr.io#nvidia/nemo"),
        ("localhost:5000/nemo", "localhost:5000#nemo"),
        ("localhost/nemo", "localhost#nemo"),
        ("nemo", "nemo"),
    ],
)
def test_names_of_enroot(image: str, name: str) -> None:
    container = Container.of(f"{image}@sha256:{DIGEST}", "python3", "x")
    assert enroot_name(container) == f"{name}:sha256:{DIGEST}"
    assert container.digest == DIGEST and ":25" not in container.repository


@pytest.mark.parametrize("image", ["nemo:25.07", "nemo", "nemo@sha256:12", f"nemo@sha256:{'g' * 64}", f"a b@{DIGEST}"])
def test_an_image_without_a_digest_is_refused(image: str) -> None:
    with pytest.raises(InvalidRule, match="without a digest"):
        Container.of(image, "python3", "dapt")


def test_impossible_starts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CannotStart, match="has no container runtime"):
        start(Launch(), program(IMAGE), JOB)
    with pytest.raises(CannotStart, match="no container runtime docker"):
        Launch("docker")
    with pytest.raises(CannotStart, match="not in one"):
        start(Launch("pyxis"), program(IMAGE), {"PATH": "/usr/bin"})
    (tmp_path / "a,b").mkdir()
    monkeypatch.chdir(tmp_path / "a,b")  # where its scratch folder is
    with pytest.raises(CannotStart, match="comma or a colon"):
        start(Launch("apptainer"), program(IMAGE), JOB)


def test_launch_survives_the_plan_file() -> None:
    launch = Launch("pyxis", ("/data",), "/images")
    assert Launch.from_json(json.loads(json.dumps(launch.as_json()))) == launch


def test_each_job_has_its_own_port() -> None:
    assert len({rendezvous_port(str(job)) for job in range(5000, 6000)}) == 1000
    assert all(1024 < rendezvous_port(str(job)) < 32768 for job in range(0, 70000, 777)), "below the ephemeral ports"


def test_a_checkpoint_on_any_node_is_the_status_of_the_program(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    two_nodes = replace(program(BARE, 2), scratch=scratch)
    result = start(Launch(), two_nodes, JOB)
    assert result.program_status(0) == 0 and result.program_status(3) == 3
    (scratch / "stopped").touch()
    assert result.program_status(0) == 75 and result.program_status(3) == 3
