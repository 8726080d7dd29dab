"""A look at the nodes of a job before a program is started on them: a broken one is named, and nothing is trained."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.errors import GraphError
from tapeout.graph.files import LATE_SECONDS
from tapeout.graph.launch import node_agent
from tapeout.graph.launch.launcher import JOB, RUNTIME, port, srun, taken
from tapeout.slurm.client import SlurmUnavailable, ask

SECONDS_TO_ANSWER = 180


class BrokenNode(GraphError):
    """A node of the job does not answer, does not see the project or lacks GPUs."""


@dataclass(frozen=True)
class Found:
    """What a node said of itself."""

    name: str
    number: int
    fault: str


def rendezvous(nodes: int, action: Path, digest: str, gpus: int, caller: Mapping[str, str]) -> str:
    """Look at all nodes of the job; returns where their processes can meet, ``host:port`` on the first of them.

    Args:
        nodes: how many there are.
        action: the action file, by which a node shows that it sees the project.
        digest: of the action.
        gpus: that the program wants on each.
        caller: the variables of the runner, which names the job.

    Raises:
        BrokenNode: naming each node with what is wrong, or the job if it has too few.
    """
    job = caller["SLURM_JOB_ID"]
    allocated = _allocated(job)
    if len(allocated) < nodes:
        raise BrokenNode(
            f"Job {job} has {len(allocated)} nodes ({', '.join(allocated)}), and the step wants {nodes}.",
            "Ask for as many in the rule's resource nodes.",
        )
    found, said = _answers(nodes, action, digest, gpus, caller)
    faults = sorted(f"{answer.name} {answer.fault}" for answer in found if answer.fault)
    if len(found) < nodes:
        silent = [name for name in allocated if name not in {answer.name for answer in found}]
        faults += [f"{name} does not answer{f' ({said})' if said else ''}" for name in silent[: nodes - len(found)]]
    if faults:
        broken = ",".join(sorted(fault.partition(" ")[0] for fault in faults))
        raise BrokenNode(
            f"Job {job}: node {'; node '.join(faults)}.",
            f"Tell the cluster's administrators; leave it out meanwhile: --slurm-exclude-failed-nodes {broken}.",
        )
    first = min(found, key=lambda answer: answer.number)
    found_at = re.search(r"NodeAddr=(\S+)", _asked("scontrol", "show", "node", "--oneliner", first.name))
    # where Slurm itself reaches the node: its name need not be a host's
    return f"{found_at[1] if found_at else first.name}:{port(job)}"


def _answers(nodes: int, action: Path, digest: str, gpus: int, caller: Mapping[str, str]) -> tuple[list[Found], str]:
    """What the nodes say, and the last word of srun if it failed."""
    look = [sys.executable, "-I", node_agent.__file__, "check", "--action", str(action.absolute()), "--digest", digest]
    look += ["--gpus", str(gpus), "--seconds", caller.get(LATE_SECONDS, "0")]
    command = [option for option in srun(nodes) if not option.startswith("--kill-on-bad-exit")]
    text, error = _srun([*command, "--export=ALL", *look], caller)
    lines = [line.partition(node_agent.MARK)[2] for line in text.splitlines() if node_agent.MARK in line]
    said = error.strip().splitlines() or [""]
    why = next((line for line in said if "error" in line), said[-1])
    return [Found(**json.loads(line)) for line in lines], why


def _srun(command: list[str], caller: Mapping[str, str]) -> tuple[str, str]:
    """What the tasks print, and what srun adds; what there is so far if they do not all end in time."""
    variables = taken(caller, *RUNTIME, *JOB)
    process = subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        return process.communicate(timeout=SECONDS_TO_ANSWER)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
        return text, f"nothing within {SECONDS_TO_ANSWER} s"


def _allocated(job: str) -> list[str]:
    """Names of the job's nodes; its variables do not tell them in every kind of job."""
    nodes = _asked("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
    return _asked("scontrol", "show", "hostnames", nodes).split()


def _asked(*command: str) -> str:
    try:
        return ask(*command)
    except SlurmUnavailable as error:
        raise BrokenNode(error.cause, error.fix) from error
