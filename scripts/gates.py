"""Stop all training runs if the data exceeds its limits."""

from pathlib import Path

import orjson

from tapeout.config.inspection import GatesJob
from tapeout.data.io.jsonl import write_json
from tapeout.inspection.gates import check
from tapeout.program import step


@step(GatesJob)
def main(job: GatesJob, report: Path, output: Path) -> None:
    """Write the names of the passed gates; measured values are left out, so that a change of them reruns no training.

    Inputs:
        report: report.json of the data report.

    Raises:
        GateFailed: a limit is exceeded, or data that a training run reads was not measured; the message lists all.
    """
    gates = orjson.loads(report.read_bytes())["gates"]
    check(gates, job.trained)
    write_json(output, {"passed": sorted({gate["gate"] for gate in gates})})


if __name__ == "__main__":
    main()
