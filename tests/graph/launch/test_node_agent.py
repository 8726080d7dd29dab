"""The program on each node: check of the node, and start of the step's program."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.identity.digest import digest_bytes
from tapeout.graph.launch import node_agent


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", node_agent.__file__, *arguments]
    shared = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, env=shared, capture_output=True, text=True, timeout=60, check=False)


PRINT_VARIABLES = "import json, os; print(json.dumps({**os.environ, 'real': os.path.realpath(os.environ['TMPDIR'])}))"


def test_start_sets_temporary_folder_module_path_and_home(tmp_path: Path) -> None:
    """A folder for this node with a short name, an empty home in it, and in a container the project's modules."""
    variables = {"TMPDIR": str(tmp_path / "tmp"), "SLURM_NODEID": "3", "PYTHONPATH": "/opt/image", "HOME": "/root"}
    done = run("start", "--", sys.executable, "-c", PRINT_VARIABLES, **variables, TAPEOUT_CODE="/project")
    seen = json.loads(done.stdout)
    assert seen["PYTHONPATH"] == "/project:/opt/image" and "TAPEOUT_CODE" not in seen
    assert seen["real"] == str(tmp_path / "tmp" / "3") and len(seen["TMPDIR"]) < 40
    assert seen["HOME"] == f"{seen['TMPDIR']}/home" and not Path(seen["TMPDIR"]).exists()
    seen = json.loads(run("start", "--", sys.executable, "-c", PRINT_VARIABLES, **variables).stdout)
    assert seen["HOME"] == f"{seen['TMPDIR']}/home" and seen["PYTHONPATH"] == "/opt/image", "unchanged on the host"


@pytest.mark.parametrize(("ends", "status", "marked"), [(75, 0, True), (3, 3, False), (0, 0, False)])
def test_a_node_that_saved_a_checkpoint_does_not_make_srun_kill_the_others(
    tmp_path: Path, ends: int, status: int, marked: bool
) -> None:
    mark = tmp_path / "stopped"
    command = ["--", sys.executable, "-c", f"raise SystemExit({ends})"]
    assert run("start", "--stopped", str(mark), *command, TMPDIR=str(tmp_path)).returncode == status
    assert mark.exists() == marked
    assert run("start", *command, TMPDIR=str(tmp_path)).returncode == ends


def test_signals_are_passed_to_the_program(tmp_path: Path) -> None:
    handler = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))"
    code = f"{handler}; print('up', flush=True); signal.pause()"
    command = [sys.executable, "-I", node_agent.__file__, "start", "--", sys.executable, "-c", code]
    process = subprocess.Popen(command, env={"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=30) == 75


def test_task_variables_are_passed_into_the_container(tmp_path: Path) -> None:
    variables = {"SLURM_NODEID": "1", "CUDA_VISIBLE_DEVICES": "4,5", "OTHER": "x"}
    names = "import os; print(sorted(name for name in os.environ if name.startswith('APPTAINERENV_')))"
    done = run("apptainer", "--", sys.executable, "-c", names, **variables)
    assert done.stdout == "['APPTAINERENV_CUDA_VISIBLE_DEVICES', 'APPTAINERENV_SLURM_NODEID']\n"
    done = run("apptainer", "--", "no-such-runtime", SLURMD_NODENAME="gpu7")
    assert done.returncode == 127 and "There is no no-such-runtime on node gpu7." in done.stderr


def test_check_of_a_node(tmp_path: Path) -> None:
    action = tmp_path / "x.action.json"
    action.write_text('{"a":1}\n')
    good = digest_bytes(b'{"a":1}')

    def check(digest: str, gpus: int = 0, path: Path = action, **variables: str) -> Any:
        tool = tmp_path / "bin" / "nvidia-smi"
        arguments = ["--action", str(path), "--digest", digest, "--gpus", str(gpus)]
        done = run("check", *arguments, SLURMD_NODENAME="gpu2", SLURM_NODEID="1", PATH=str(tool.parent), **variables)
        return json.loads(done.stdout.removeprefix(node_agent.MARK))

    assert check(good) == {"name": "gpu2", "number": 1, "fault": ""}
    assert "does not see the project" in check(good, path=tmp_path / "missing")["fault"]
    assert "sees another" in check("0" * 64)["fault"]
    assert check(good, 2)["fault"] == "has no nvidia-smi, and 2 GPUs are required"
    (tmp_path / "bin").mkdir()
    # a stand-in for nvidia-smi, because the test machine has no GPU
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-1)'\n")
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    assert check(good, 2)["fault"] == "shows 1 of 2 GPUs"
    assert check(good, 1)["fault"] == ""
