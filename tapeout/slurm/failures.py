"""Why a job did not finish, in one sentence with job, node, reason and log, and the end of what it said."""

import os
import re
from pathlib import Path

from tapeout.slurm.client import SlurmUnavailable, ask, record

LINES_OF_LOG = 12
FAILED_STEP = "✗ "
"""How the runner begins the line that names a step's error."""
FIX = "  fix: "

OUT_OF_MEMORY = re.compile(r"oom[-_ ]kill|exceeded (job |step )?memory limit|out of memory handler", re.IGNORECASE)
"""What Slurm's own daemons write into the log of a job one of whose steps took too much memory."""

FIXES = {
    "TIMEOUT": "Raise minutes of the partition in config/site.yaml. What a training saved is kept: run again.",
    "OUT_OF_MEMORY": "Raise memory_gb of the partition in config/site.yaml and run again.",
    "CANCELLED": "If that was not wanted, run again: what a training saved is kept.",
    "PREEMPTED": "Run again: what a training saved is kept.",
    "NODE_FAIL": "Run again: it goes to another node, and a training goes on from what it saved.",
    "BOOT_FAIL": "Run again; if the node fails again, tell the site, or exclude it with extra in config/site.yaml.",
    "DEADLINE": "Raise the deadline, or ask for less time in config/site.yaml.",
}
"""What to do about a job that Slurm ended; for others what the step itself said."""
BY_ITSELF = "Read the log, mend what it says and run again."

ELSEWHERE = ("State", "NodeList", "Elapsed", "Timelimit")
"""What the accounting is asked for when the controller has forgotten a job."""


def explain(what: str, job: str, log: Path) -> str:
    """Several lines on a job that ended without success.

    Args:
        what: the artifact or rule that it was to make.
        job: its number.
        log: Slurm's log of it.
    """
    state, nodes, elapsed, limit = _ending(job)
    said, fix = _said(log)
    if log.exists() and OUT_OF_MEMORY.search(log.read_text(errors="replace")):
        state = "OUT_OF_MEMORY"  # of the step; the job itself then counts as failed
    word = state.partition(" ")[0]
    times = {"TIMEOUT": f" after its {limit}", "": ""}.get(word, f" after {elapsed}" if elapsed else "")
    where = f" on {nodes}" if nodes else ""
    how = f"{state or 'ended, and nobody knows how'}{times}"
    sentence = f"{FAILED_STEP}{what}  job {job}{where}: {how}; log: {os.path.relpath(log)}"
    return "\n".join([sentence, *(f"    | {line}" for line in said), f"{FIX}{FIXES.get(word) or fix or BY_ITSELF}"])


def _ending(job: str) -> tuple[str, str, str, str]:
    """State, nodes, time taken and time limit, as the controller or the accounting has them; empty if neither does."""
    try:
        known = record(job)
    except SlurmUnavailable:
        known = {}
    if known:
        nodes = known.get("NodeList", "")
        reason = known.get("Reason", "None")
        state = known["JobState"] + (f" ({reason})" if reason not in ("None", known["JobState"]) else "")
        return state, "" if nodes == "(null)" else nodes, known.get("RunTime", ""), known.get("TimeLimit", "")
    try:
        wanted = ",".join(f"{name}%100" for name in ELSEWHERE)
        lines = ask("sacct", "-X", "-n", "-P", "-j", job, f"--format={wanted}").splitlines()
    except SlurmUnavailable:
        lines = []
    if not lines:
        return "", "", "", ""
    state, nodes, elapsed, limit = lines[-1].split("|")
    return state, nodes.replace("None assigned", ""), elapsed, limit


def _said(log: Path) -> tuple[list[str], str | None]:
    """The error that the step named, and its fix with what follows it; else the last lines of the log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    named = [place for place, line in enumerate(lines) if line.startswith(FAILED_STEP)]
    if not named:
        return lines[-LINES_OF_LOG:], None
    said = [lines[named[-1]].removeprefix(FAILED_STEP).partition("  ")[2]]  # without the artifact's name
    fix: list[str] = []
    for line in lines[named[-1] + 1 :]:
        if line.startswith(FIX):
            fix.append(line.removeprefix(FIX))
        elif line.startswith("    "):
            (fix or said).append(line)
        else:
            break
    return said, "\n".join(fix) or None
