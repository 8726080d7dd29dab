"""Signals that end a command."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.graph.conftest import Project, wait_for

ROOT = Path(__file__).parents[2]
COMMAND = """
import subprocess
from pathlib import Path
from tapeout.cli import main
from tapeout.provenance.folder import creating

def app(*_: object, **__: object) -> None:
    with creating(Path("out")):
        subprocess.run(["sh", "-c", "trap 'touch stopped; exit' TERM; touch begun; while :; do sleep 0.01; done"])

main.app = app
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_removes_temporary_files_and_waits_for_programs(tmp_path: Path, number: signal.Signals) -> None:
    variables = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen([sys.executable, "-c", COMMAND], cwd=tmp_path, env=variables)
    wait_for(tmp_path / "begun")
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "stopped"]


def test_a_signal_while_the_workflow_is_read_has_its_own_status(project: Project) -> None:
    with project.path("Snakefile").open("a") as file:
        file.write("\nimport time, pathlib\npathlib.Path('begun').touch()\ntime.sleep(100)\n")
    command = [sys.executable, "-m", "tapeout.cli", "status"]
    process = subprocess.Popen(command, cwd=project.root, env=project.variables(), stderr=subprocess.PIPE)
    wait_for(project.path("begun"))
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + signal.SIGTERM, b"")
