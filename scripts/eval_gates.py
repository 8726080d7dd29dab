"""Fail the run if the evaluation report is beyond its limits and the configuration asks for that."""

from pathlib import Path

import orjson

from tapeout.config.evaluation_gates import EvalGatesJob
from tapeout.data.io.jsonl import write_json
from tapeout.program import step
from tapeout.report.evaluation.gates import check


@step(EvalGatesJob)
def main(job: EvalGatesJob, report: Path, output: Path) -> None:
    """Write the results of all gates.

    Inputs:
        report: report.json of the evaluation report.

    Raises:
        EvaluationGateFailed: a number is beyond its limit and ``on_failure`` is ``stop``; the message lists all.
    """
    gates = orjson.loads(report.read_bytes())["gates"]
    check(gates, job.on_failure == "stop")
    write_json(output, {"gates": gates})


if __name__ == "__main__":
    main()
