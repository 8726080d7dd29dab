"""Console messages about the jobs of a run: submitted, finished, failed and why.

The output of a running step goes to its job's log; ``tapeout top`` shows it live.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from tapeout.slurm.client import SlurmUnavailable, ask, job_record

DONE = "✓ "
"""Prefix of the runner's message that a step has succeeded."""
FAILED = "✗ "
"""Prefix of the runner's message that a step has failed."""
FIX = "  fix: "
OWN_MESSAGE = "Tapeout: "
"""Prefix of messages of this package that pass through the executor."""

SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\S+) \(log: ")
JOB_FAILED = re.compile(r"SLURM-job '(\d+)' failed")
SBATCH_FAILED = re.compile(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", re.DOTALL)
SUBMISSION_FAILED = re.compile(r"Job submission failed with exception: (.*)", re.DOTALL)
NOISE = (
    *("No SLURM account given", "No account was given", "Unable to guess SLURM account"),
    *("SLURM run ID:", "Requested job submission of", "Exception in run_job for rule"),
)
"""Prefixes of the executor's messages that do not help the user: config/site.yaml documents the default account."""

OUT_OF_MEMORY = re.compile(r"oom[-_ ]kill|exceeded (job |step )?memory limit|out of memory handler", re.IGNORECASE)
"""Messages of Slurm's daemons in the log of a job one of whose steps exceeded its memory."""
MAX_LOG_LINES = 12
FIXES = {
    "TIMEOUT": "Raise minutes of the partition in config/site.yaml. Training resumes from its checkpoint: run again.",
    "OUT_OF_MEMORY": "Raise memory_gb of the partition in config/site.yaml and run again.",
    "CANCELLED": "If that was not intended, run again: training resumes from its checkpoint.",
    "PREEMPTED": "Run again: training resumes from its checkpoint.",
    "NODE_FAIL": "Run again: the job goes to another node, and training resumes from its checkpoint.",
    "BOOT_FAIL": "Run again; if the node fails again, report it, or exclude it with extra in config/site.yaml.",
    "DEADLINE": "Raise the deadline, or request less time in config/site.yaml.",
}
"""Fix by the state in which Slurm ended a job; for other states the step itself names the fix."""
DEFAULT_FIX = "Read the log, correct what it reports and run again."
SACCT_FIELDS = ("State", "NodeList", "Elapsed", "Timelimit")


@dataclass
class JobMessages:
    """Messages about the jobs of this run.

    Attributes:
        names: artifact of each job, by Snakemake's job number.
    """

    names: dict[int, str] = field(default_factory=dict)

    def submitted(self, message: str) -> str | None:
        """Return a short form of the executor's message that it has submitted a job; None for other messages."""
        match = SUBMITTED.search(message)
        if match is None:
            return None
        return f"> {self.names.get(int(match[1]), 'a step')}  job {match[2]} in the queue"

    def failed(self, name: str, message: str, logs: list[str], fix: str) -> str:
        """Return the message about a job that failed."""
        if job := JOB_FAILED.search(message):
            return explain_failure(name, job[1], Path(logs[-1]))
        if submission := SBATCH_FAILED.search(message):
            reason = submission[1].removeprefix("sbatch: error: ").splitlines()[0]
            advice = "Correct config/site.yaml, or wait for the cluster; then run again."
            return f"{FAILED}{name}  sbatch took no job: {reason}\n{fix}{advice}"
        if exception := SUBMISSION_FAILED.search(message):
            reason = " ".join(exception[1].split())
            return f"{FAILED}{name}  was not submitted: {reason}\n{fix}Correct config/site.yaml and run again."
        if message.startswith(OWN_MESSAGE):
            return f"{FAILED}{name}  {message.removeprefix(OWN_MESSAGE)}; log: {logs[-1]}\n{fix}Run again."
        return f"{FAILED}{name} did not finish; log: {', '.join(logs or ['none'])}"


def finished(job: str, log: Path) -> str | None:
    """Return the runner's last success message in the log of a job, with the job's number; None without one."""
    lines = _read(log).splitlines()
    message = next((line for line in reversed(lines) if line.startswith(DONE)), None)
    return message and f"{message}  job {job}"


def explain_failure(name: str, job: str, log: Path) -> str:
    """Return why a job failed: a headline with job, node, state and log; the step's error; and the fix."""
    state, nodes, elapsed, limit = _final_state(job)
    error, fix = _step_error(log)
    if OUT_OF_MEMORY.search(_read(log)):
        state = "OUT_OF_MEMORY"  # Slurm reports it for the step, and FAILED for the job
    kind = state.partition(" ")[0]
    times = {"TIMEOUT": f" after its {limit}", "": ""}.get(kind, f" after {elapsed}" if elapsed else "")
    where = f" on {nodes}" if nodes else ""
    headline = f"{FAILED}{name}  job {job}{where}: {state or 'ended in an unknown state'}{times}"
    headline = f"{headline}; log: {os.path.relpath(log)}"
    return "\n".join([headline, *(f"    | {line}" for line in error), f"{FIX}{FIXES.get(kind) or fix or DEFAULT_FIX}"])


def _final_state(job: str) -> tuple[str, str, str, str]:
    """Return state, nodes, elapsed time and time limit from the controller or the accounting; empty if unknown."""
    try:
        known = job_record(job)
    except SlurmUnavailable:
        known = {}
    if known:
        nodes = known.get("NodeList", "")
        reason = known.get("Reason", "None")
        state = known["JobState"] + (f" ({reason})" if reason not in ("None", known["JobState"]) else "")
        return state, "" if nodes == "(null)" else nodes, known.get("RunTime", ""), known.get("TimeLimit", "")
    try:
        fields = ",".join(f"{name}%100" for name in SACCT_FIELDS)
        lines = ask("sacct", "-X", "-n", "-P", "-j", job, f"--format={fields}").splitlines()
    except SlurmUnavailable:
        lines = []
    if not lines:
        return "", "", "", ""
    state, nodes, elapsed, limit = lines[-1].split("|")
    return state, nodes.replace("None assigned", ""), elapsed, limit


def _read(log: Path) -> str:
    """Return the text of a log; empty if it cannot be read: the thread that reports a job must not end."""
    try:
        return log.read_text("utf-8", "replace") if log.is_file() else ""
    except OSError:
        return ""


def _step_error(log: Path) -> tuple[list[str], str | None]:
    """Return the last error that the runner reported and its fix; without one, the last lines of the log."""
    lines = _read(log).splitlines()
    reported = [number for number, line in enumerate(lines) if line.startswith(FAILED)]
    if not reported:
        return lines[-MAX_LOG_LINES:], None
    error = [lines[reported[-1]].removeprefix(FAILED).partition("  ")[2]]  # without the artifact's name
    fix: list[str] = []
    for line in lines[reported[-1] + 1 :]:
        if line.startswith(FIX):
            fix.append(line.removeprefix(FIX))
        elif line.startswith("    "):
            (fix or error).append(line)
        else:
            break
    return error, "\n".join(fix) or None
