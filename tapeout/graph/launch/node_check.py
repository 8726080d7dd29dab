"""Check a job's nodes before a program starts on them, so that a broken node is reported before training begins."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.files import LATE_SECONDS
from tapeout.graph.launch import node_agent
from tapeout.graph.launch.launcher import JOB_VARIABLES, RUNTIME_VARIABLES, CannotStart, rendezvous_port, select, srun
from tapeout.slurm.client import SlurmUnavailable, ask

TIMEOUT = 180
"""Seconds that the nodes may take to answer."""


@dataclass(frozen=True)
class NodeReport:
    """Report of the agent on a node; ``fault`` is empty if there is none."""

    name: str
    number: int
    fault: str


def check_nodes(nodes: int, action: Path, digest: str, gpus: int, caller: Mapping[str, str]) -> str:
    """Check all nodes of the job, and return ``host:port`` on the first of them, where their processes can meet.

    Args:
        nodes: expected number of nodes.
        action: the action file; a node that can read it shares the project folder.
        digest: action digest.
        gpus: number of GPUs that the program needs on each node.
        caller: environment variables of the runner, which name the job.

    Raises:
        CannotStart: a node has a fault or does not answer, or the job has too few nodes.
    """
    job = caller["SLURM_JOB_ID"]
    allocated = _allocated_nodes(job)
    if len(allocated) < nodes:
        raise CannotStart(
            f"Job {job} has {len(allocated)} nodes ({', '.join(allocated)}), but the step needs {nodes}.",
            "Request as many in the rule's resource nodes.",
        )
    reports, error = _collect_reports(nodes, action, digest, gpus, caller)
    faults = sorted(f"{report.name} {report.fault}" for report in reports if report.fault)
    if len(reports) < nodes:
        silent = [name for name in allocated if name not in {report.name for report in reports}]
        faults += [f"{name} does not answer{f' ({error})' if error else ''}" for name in silent[: nodes - len(reports)]]
    if faults:
        broken = ",".join(sorted(fault.partition(" ")[0] for fault in faults))
        raise CannotStart(
            f"Job {job}: node {'; node '.join(faults)}.",
            f"Report it to the cluster's administrators; exclude it meanwhile: --slurm-exclude-failed-nodes {broken}.",
        )
    first = min(reports, key=lambda report: report.number)
    # the address at which Slurm itself reaches the node, whose name need not resolve
    address = re.search(r"NodeAddr=(\S+)", _ask("scontrol", "show", "node", "--oneliner", first.name))
    return f"{address[1] if address else first.name}:{rendezvous_port(job)}"


def _collect_reports(
    nodes: int, action: Path, digest: str, gpus: int, caller: Mapping[str, str]
) -> tuple[list[NodeReport], str]:
    """Return the nodes' reports, and the error message of srun if it failed."""
    agent = [sys.executable, "-I", node_agent.__file__, "check", "--action", str(action.absolute()), "--digest", digest]
    agent += ["--gpus", str(gpus), "--seconds", caller.get(LATE_SECONDS, "0")]
    command = [option for option in srun(nodes) if not option.startswith("--kill-on-bad-exit")]
    output, errors = _run([*command, "--export=ALL", *agent], caller)
    lines = [line.partition(node_agent.MARK)[2] for line in output.splitlines() if node_agent.MARK in line]
    error_lines = errors.strip().splitlines() or [""]
    error = next((line for line in error_lines if "error" in line), error_lines[-1])
    return [NodeReport(**json.loads(line)) for line in lines], error


def _run(command: list[str], caller: Mapping[str, str]) -> tuple[str, str]:
    """Return the output and error output of srun; the output so far if it does not end in time."""
    variables = select(caller, *RUNTIME_VARIABLES, *JOB_VARIABLES)
    process = subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        return process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return output, f"nothing within {TIMEOUT} s"


def _allocated_nodes(job: str) -> list[str]:
    """Return the names of the job's nodes; not every kind of job has them in its variables."""
    nodes = _ask("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
    return _ask("scontrol", "show", "hostnames", nodes).split()


def _ask(*command: str) -> str:
    try:
        return ask(*command)
    except SlurmUnavailable as error:
        raise CannotStart(error.cause, error.fix) from error
