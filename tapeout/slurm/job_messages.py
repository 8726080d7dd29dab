"""What a run says of the jobs that it has in the cluster: one line when a job is submitted, one when it has ended.

Whatever a step says on its way goes into the job's own log; ``tapeout top`` shows it live.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tapeout.slurm.failures import FAILED_STEP, explain

SUBMITTED = re.compile(r"Job (\d+) has been submitted with SLURM jobid (\S+) \(log: ")
FAILED = re.compile(r"SLURM-job '(\d+)' failed")
NOT_SUBMITTED = re.compile(r"SLURM sbatch failed\. The error message was '(.*?)'\.\n", re.DOTALL)
REMARKS = (
    *("No SLURM account given", "No account was given", "Unable to guess SLURM account"),
    *("SLURM run ID:", "Requested job submission of", "Exception in run_job for rule"),
)
"""The executor's remarks that say nothing: of a missing account config/site.yaml says that it is the default."""
DONE = "✓ "
OURS = "Tapeout: "
"""How a word of ours begins that goes through the executor."""
NOT_TAKEN = re.compile(r"Job submission failed with exception: (.*)", re.DOTALL)


@dataclass
class Told:
    """The jobs of this run: what each makes, by Snakemake's own numbers."""

    names: dict[int, str] = field(default_factory=dict)

    def submitted(self, message: str) -> str | None:
        """What to say instead of the executor's word that it has submitted a job; None if that is not what it says."""
        found = SUBMITTED.search(message)
        if found is None:
            return None
        return f"> {self.names.get(int(found[1]), 'a step')}  job {found[2]} in the queue"

    def failed(self, what: str, said: str, logs: list[str], fix: str) -> str:
        """What to say of a job that did not end well.

        Args:
            what: the artifact or rule.
            said: the executor's words.
            logs: of the job; Slurm's is the last.
            fix: how the line begins that says what to do.
        """
        if job := FAILED.search(said):
            return explain(what, job[1], Path(logs[-1]))
        if submission := NOT_SUBMITTED.search(said):
            reason = submission[1].removeprefix("sbatch: error: ").splitlines()[0]
            advice = "Correct config/site.yaml, or wait for the cluster; then run again."
            return f"{FAILED_STEP}{what}  sbatch took no job: {reason}\n{fix}{advice}"
        if exception := NOT_TAKEN.search(said):
            reason = " ".join(exception[1].split())
            return f"{FAILED_STEP}{what}  was not submitted: {reason}\n{fix}Correct config/site.yaml and run again."
        if said.startswith(OURS):
            return f"{FAILED_STEP}{what}  {said.removeprefix(OURS)}; log: {logs[-1]}\n{fix}Run again."
        return f"{FAILED_STEP}{what} did not finish; log: {', '.join(logs or ['none'])}"


def finished(job: str, log: Path) -> str | None:
    """What to say of a job that has ended well: the runner's own words, from the job's log; None if it said none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = next((line for line in reversed(lines) if line.startswith(DONE)), None)
    return said and f"{said}  job {job}"
