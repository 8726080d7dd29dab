"""Stop all training runs if the data exceeds its limits."""

from pathlib import Path

import orjson

from tapeout.config.inspection import GatesJob
from tapeout.data.io.jsonl import write_json
from tapeout.inspection.gates import check
from tapeout.program import step


@step(GatesJob)
def main(job: GatesJob, report: Path, output: Path) -> None:
    """Write the names of the passed gates: the same bytes whatever was measured, so that no training reruns for it.

    Inputs:
        report: report.json of the data report.

    Raises:
        GateFailed: naming each exceeded limit, or what a training run reads and was not measured.
    """
    gates = orjson.loads(report.read_bytes())["gates"]
    check(gates, job.trained)
    write_json(output, {"passed": sorted({gate["gate"] for gate in gates})})


if __name__ == "__main__":
    main()
