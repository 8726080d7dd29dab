"""Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 end a run, and the same command resumes it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.graph.conftest import Project, wait_for
from tests.graph.soak import processes

MAKEFILE = Path(__file__).parents[3] / "Makefile"
TRAINING = '''"""Stand-in of a training: counts its steps, saves its state on request, and resumes."""

import os
import signal
import sys
import time
from pathlib import Path

from lib.options import read

inputs, params, output = read("formatted")
state = Path(os.environ["TAPEOUT_STATE"]) / "step"
step = int(state.read_text()) if state.exists() else 0
print("resuming from step", step, flush=True)
signal.signal(signal.SIGTERM, lambda *_: None)
for step in range(step + 1, 11):
    while step % 2 == 0 and not Path("SHARED/pass").exists():
        if Path(os.environ["TAPEOUT_STOP"]).exists():
            state.write_text(str(step))
            sys.exit(75)
        time.sleep(0.01)
output.mkdir()
(output / "weights.txt").write_text(f"{step} steps\\n")
'''
# ignores what ends a program politely, and outlives the test unless it is killed
STUBBORN = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; time.sleep(600)"
ADVICE = "Resume by running the same command."


def begin(project: Project, *command: str) -> "subprocess.Popen[str]":
    """Start a run in a process group of its own, and wait until the program of the model runs."""
    log = project.path("logs/model.log")
    log.unlink(missing_ok=True)
    process = subprocess.Popen(
        command or project.command(),
        cwd=project.root,
        env=project.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(log)
    end = time.monotonic() + 300
    while log.read_text().count("\n") < 2:  # the first line says how the program is isolated
        assert time.monotonic() < end, f"{log} stays empty"
        time.sleep(0.01)
    return process


def output_of(process: "subprocess.Popen[str]", project: Project) -> str:
    """Wait for a run to end, with all its processes, and return its output."""
    text, _ = process.communicate(timeout=120)
    end = time.monotonic() + 30
    for kind in ("driver", "runner", "program"):
        while processes(project.root, kind):  # the kernel ends the processes of a namespace after its first one
            assert time.monotonic() < end, text
            time.sleep(0.01)
    assert "Traceback" not in text and "Error in rule" not in text, text
    return text


def test_g17_signals_save_the_state_and_the_same_command_resumes_but_nohup_is_respected(project: Project) -> None:
    project.path("scripts/model.py").write_text(TRAINING.replace("SHARED", str(project.share())))
    project.edit("rules/steps.smk", "rule report:", "rule eval_report:")
    steps = project.path("rules/steps.smk")
    steps.write_text(steps.read_text() + "\n\nrule eval_gates:\n    input:\n        rules.eval_report.output,\n")
    snakemake = " ".join(project.command("--rerun-incomplete"))
    make = ("make", "-f", str(MAKEFILE), "report", f"SNAKEMAKE={snakemake}", "INSTALL=true")
    attempts = [
        *((os.killpg, signal.SIGINT, make), (os.kill, signal.SIGTERM, make)),
        *((os.kill, signal.SIGHUP, project.command("--no-hooks")), (os.killpg, signal.SIGUSR1, ())),
    ]
    for number, (kill, sent, command) in enumerate(attempts):
        process = begin(project, *command)
        kill(process.pid, sent)
        text = output_of(process, project)
        assert process.returncode in (128 + sent, -sent, 2), text  # make exits with 2, or by the signal
        assert ADVICE in text and "trainings save their state" in text and "resumes from its checkpoint" in text
        assert f"resuming from step {2 * number}" in project.path("logs/model.log").read_text()
        assert not project.path("results/model").exists()
    process = begin(project, "nohup", *project.command())
    os.killpg(process.pid, signal.SIGHUP)
    project.path("shared/pass").touch()
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "+ report.txt" in text, text
    assert "resuming from step 8" in project.path("logs/model.log").read_text()
    assert project.path("results/model/weights.txt").read_text() == "10 steps\n"
    assert project.run().nothing_done


def test_a_second_ctrl_c_ends_a_program_that_does_not_stop(project: Project) -> None:
    project.edit("scripts/model.py", "time.sleep(", f"print('begun', flush=True); {STUBBORN}\ntime.sleep(")
    process = begin(project)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    while "Stopping after Ctrl-C" not in (line := process.stdout.readline()):
        assert line, "the run has ended"
    os.killpg(process.pid, signal.SIGINT)
    assert "Ended at once" in output_of(process, project)
    assert process.returncode == 128 + signal.SIGINT
    project.edit("scripts/model.py", STUBBORN, "")
    assert project.run().built == ["model", "report.txt"]


def test_ctrl_c_while_planning_ends_the_run_at_once(project: Project) -> None:
    project.edit("Snakefile", "image =", f"import os\n\n\nos.kill(os.getpid(), {int(signal.SIGINT)})\nimage =")
    run = project.run(ok=False)
    assert run.status == 128 + signal.SIGINT and "Traceback" not in run.text
    assert "Ended by Ctrl-C before a step began." in run.text and ADVICE in run.text


@pytest.mark.parametrize("module", ["graph.run.runner", "graph.plan.resolve", "cli", "cli.run_snakemake"])
def test_ctrl_c_ends_a_program_that_begins_without_a_traceback(module: str) -> None:
    program = "import runpy, sys, os, signal\nfrom tapeout.graph import console\nend = console.end_quietly\n"
    program += "console.end_quietly = lambda: (end(), os.kill(os.getpid(), signal.SIGINT))\n"
    program += f"runpy.run_module({f'tapeout.{module}'!r}, run_name='__main__')"
    command = [sys.executable, "-c", program, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=MAKEFILE.parent)
    assert done.returncode == -signal.SIGINT and not done.stderr
