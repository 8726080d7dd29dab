"""How a program is started: the command and its variables for each runtime, and what runs on each node."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.digest import digest_bytes
from tapeout.graph.identity.environment import Environment
from tapeout.graph.launch import node_agent
from tapeout.graph.launch.launcher import Launch, MissingRuntime, Program, UnusablePath, enroot_name, port, start

DIGEST = "ab" * 32
IMAGE = Container(f"nvcr.io/nvidia/nemo:25.07@sha256:{DIGEST}")
BARE = Environment("nemo", {}, "cd" * 32)
JOB = {
    **{"PATH": "/usr/bin", "HOME": "/home/me", "USER": "me", "SLURM_JOB_ID": "31", "SLURM_CPU_BIND": "quiet,mask"},
    "TAPEOUT_SUBMITTED": "1",
    **{"SLURM_NNODES": "1", "CUDA_VISIBLE_DEVICES": "0,1", "UNRELATED": "x"},
}
OWN = {name: JOB[name] for name in JOB if name != "UNRELATED"} | {"HF_TOKEN": "hunter2", "TMPDIR": "/tmp/tapeout-x/t"}


def program(environment: Environment | Container, nodes: int = 1, gpus: int = 0) -> Program:
    command, scratch = ("scripts/x.py", "--output", "o"), Path.cwd() / "work" / "1"
    return Program(command, environment, OWN, (Path.cwd() / "work",), scratch, nodes, gpus)


def test_bare_on_one_machine_is_the_program_itself() -> None:
    """Also when the layout has more nodes and there is no job: the program then starts all processes itself."""
    for nodes, caller in [(1, JOB), (4, {"PATH": "/usr/bin"})]:
        found = start(Launch(), program(BARE, nodes), caller)
        assert found.command == [str(BARE.python), "scripts/x.py", "--output", "o"]
        assert found.variables == OWN
        assert found.signal is signal.SIGTERM and found.status(75) == 75


def test_bare_on_nodes(tmp_path: Path) -> None:
    found = start(Launch(), program(BARE, 2), JOB, "gpu1:20031")
    step = ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--overlap"]
    assert found.command[:5] == step and "--export=ALL" in found.command
    assert found.command[-4:] == [str(BARE.python), "scripts/x.py", "--output", "o"]
    assert found.variables["TAPEOUT_NODES"] == "2" and found.variables["TAPEOUT_RENDEZVOUS"] == "gpu1:20031"
    assert found.variables["TMPDIR"] == str(Path.cwd() / "work" / "1" / "tmp"), "the runner's own is local to one node"
    assert not {"SLURM_CPU_BIND", "SLURM_NNODES", "CUDA_VISIBLE_DEVICES"} & found.variables.keys()
    assert found.variables["SLURM_JOB_ID"] == "31"
    assert found.signal is signal.SIGUSR1, "srun kills its tasks on SIGTERM"


@pytest.mark.parametrize("nodes", [1, 2])
def test_apptainer(nodes: int) -> None:
    found = start(Launch("apptainer"), program(IMAGE, nodes, gpus=16), JOB, "gpu1:20031")
    inner = found.command[found.command.index("exec") - 1 :]
    assert inner[:5] == ["apptainer", "exec", "--cleanenv", "--no-home", "--nv"]
    assert f"docker://nvcr.io/nvidia/nemo@sha256:{DIGEST}" in inner
    assert inner[-4:] == ["python3", "scripts/x.py", "--output", "o"]
    assert (found.command[0] == "srun") == (nodes > 1)
    assert found.variables["APPTAINERENV_HF_TOKEN"] == "hunter2" and "hunter2" not in " ".join(found.command)
    assert "APPTAINERENV_PATH" not in found.variables and "UNRELATED" not in found.variables
    assert ("APPTAINERENV_CUDA_VISIBLE_DEVICES" in found.variables) == (nodes == 1), "each node has its own"
    assert ("APPTAINERENV_TAPEOUT_NODES" in found.variables) == (nodes > 1)


def test_apptainer_without_gpus() -> None:
    assert "--nv" not in start(Launch("apptainer"), program(IMAGE), JOB).command


@pytest.mark.parametrize("nodes", [1, 2])
def test_pyxis(nodes: int) -> None:
    found = start(Launch("pyxis", ("/data", "/a:/b:ro")), program(IMAGE, nodes), JOB, "gpu1:20031")
    options = dict(option.partition("=")[::2] for option in found.command if option.startswith("--"))
    assert options["--nodes"] == str(nodes)
    assert options["--container-image"] == f"nvcr.io#nvidia/nemo:sha256:{DIGEST}"
    assert options["--container-mounts"].endswith(",/data:/data,/a:/b:ro")
    assert options["--container-workdir"] == str(Path.cwd())
    inside, exported = (set(options[name].split(",")) for name in ("--container-env", "--export"))
    assert inside < exported and {"HF_TOKEN", "TMPDIR", "TAPEOUT_CODE"} <= inside and not {"PATH", "HOME"} & inside
    assert {"PATH", "HOME", "SLURM_JOB_ID"} <= exported, "the runtime's own"
    assert "hunter2" not in " ".join(found.command) and found.variables["HF_TOKEN"] == "hunter2"


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
def test_enroots_names(image: str, name: str) -> None:
    container = Container.of(f"{image}@sha256:{DIGEST}", "python3", "x")
    assert enroot_name(container) == f"{name}:sha256:{DIGEST}"
    assert container.digest == DIGEST and ":25" not in container.repository


@pytest.mark.parametrize("image", ["nemo:25.07", "nemo", "nemo@sha256:12", f"nemo@sha256:{'g' * 64}", f"a b@{DIGEST}"])
def test_images_without_a_digest(image: str) -> None:
    with pytest.raises(InvalidRule, match="without a digest"):
        Container.of(image, "python3", "dapt")


def test_what_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingRuntime, match="nothing says how"):
        start(Launch(), program(IMAGE), JOB)
    with pytest.raises(MissingRuntime, match="in none"):
        start(Launch("pyxis"), program(IMAGE), {"PATH": "/usr/bin"})
    (tmp_path / "a,b").mkdir()
    monkeypatch.chdir(tmp_path / "a,b")
    with pytest.raises(UnusablePath):
        start(Launch("apptainer"), program(IMAGE), JOB)


def test_launch_goes_through_the_plan() -> None:
    launch = Launch("pyxis", ("/data",), "/images")
    assert Launch.from_json(json.loads(json.dumps(launch.as_json()))) == launch


def test_jobs_meet_at_ports_of_their_own() -> None:
    assert len({port(str(job)) for job in range(5000, 6000)}) == 1000
    assert all(1024 < port(str(job)) < 32768 for job in range(0, 70000, 777)), "below the ephemeral ports"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", node_agent.__file__, *arguments]
    shared = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, env=shared, capture_output=True, text=True, timeout=60, check=False)


SEES = "import json, os; print(json.dumps({**os.environ, 'real': os.path.realpath(os.environ['TMPDIR'])}))"


def test_the_last_link(tmp_path: Path) -> None:
    """A temporary folder of the node's own by a short name, the project before the image's modules, no user's home."""
    inside = {"TMPDIR": str(tmp_path / "tmp"), "SLURM_NODEID": "3", "PYTHONPATH": "/opt/image", "HOME": "/root"}
    done = run("start", "--", sys.executable, "-c", SEES, **inside, TAPEOUT_CODE="/project")
    seen = json.loads(done.stdout)
    assert seen["PYTHONPATH"] == "/project:/opt/image" and "TAPEOUT_CODE" not in seen
    assert seen["real"] == str(tmp_path / "tmp" / "3") and len(seen["TMPDIR"]) < 40
    assert seen["HOME"] == seen["TMPDIR"] and not Path(seen["TMPDIR"]).exists()
    seen = json.loads(run("start", "--", sys.executable, "-c", SEES, **inside).stdout)
    assert seen["HOME"] == "/root" and seen["PYTHONPATH"] == "/opt/image", "on the host all is as it was"


@pytest.mark.parametrize(("ends", "status", "marked"), [(75, 0, True), (3, 3, False), (0, 0, False)])
def test_a_node_that_stops_does_not_kill_the_others(tmp_path: Path, ends: int, status: int, marked: bool) -> None:
    mark = tmp_path / "stopped"
    command = ["--", sys.executable, "-c", f"raise SystemExit({ends})"]
    assert run("start", "--stopped", str(mark), *command, TMPDIR=str(tmp_path)).returncode == status
    assert mark.exists() == marked
    found = start(Launch(), program(BARE, 2), JOB)
    assert found.stopped is not None and found.status(0) == 0 and found.status(3) == 3
    assert run("start", *command, TMPDIR=str(tmp_path)).returncode == ends


def test_a_signal_reaches_the_program(tmp_path: Path) -> None:
    handler = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))"
    code = f"{handler}; print('up', flush=True); signal.pause()"
    command = [sys.executable, "-I", node_agent.__file__, "start", "--", sys.executable, "-c", code]
    process = subprocess.Popen(command, env={"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=30) == 75


def test_what_slurm_tells_a_task_comes_into_its_container(tmp_path: Path) -> None:
    told = {"SLURM_NODEID": "1", "CUDA_VISIBLE_DEVICES": "4,5", "OTHER": "x"}
    names = "import os; print(sorted(name for name in os.environ if name.startswith('APPTAINERENV_')))"
    done = run("apptainer", "--", sys.executable, "-c", names, **told)
    assert done.stdout == "['APPTAINERENV_CUDA_VISIBLE_DEVICES', 'APPTAINERENV_SLURM_NODEID']\n"
    done = run("apptainer", "--", "no-such-runtime", SLURMD_NODENAME="gpu7")
    assert done.returncode == 127 and "There is no no-such-runtime on node gpu7." in done.stderr


def test_the_look_at_a_node(tmp_path: Path) -> None:
    action = tmp_path / "x.action.json"
    action.write_text('{"a":1}\n')
    good = digest_bytes(b'{"a":1}')

    def look(digest: str, gpus: int = 0, path: Path = action, **variables: str) -> dict:
        tool = tmp_path / "bin" / "nvidia-smi"
        arguments = ["--action", str(path), "--digest", digest, "--gpus", str(gpus)]
        done = run("check", *arguments, SLURMD_NODENAME="gpu2", SLURM_NODEID="1", PATH=str(tool.parent), **variables)
        return json.loads(done.stdout.removeprefix(node_agent.MARK))

    assert look(good) == {"name": "gpu2", "number": 1, "fault": ""}
    assert "does not see the project" in look(good, path=tmp_path / "missing")["fault"]
    assert "sees another" in look("0" * 64)["fault"]
    assert look(good, 2)["fault"] == "has no nvidia-smi, and 2 GPUs are wanted"
    (tmp_path / "bin").mkdir()
    # no GPU can be had here: a tool that speaks like nvidia-smi
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-1)'\n")
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    assert look(good, 2)["fault"] == "shows 1 of 2 GPUs"
    assert look(good, 1)["fault"] == ""
