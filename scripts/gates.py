"""Stop the trainings if the data is outside its bounds."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from tapeout.config.inspection import GatesJob
from tapeout.data.io.jsonl import write_json
from tapeout.inspection.gates import stop
from tapeout.program import run


def main(
    report: Annotated[Path, typer.Option(help="report of the data, JSON")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="file to write")],
) -> None:
    """Write which gates were passed: the same bytes whatever was measured, so that no training begins again for it.

    Raises:
        GateFailed: naming every bound that is broken.
        Unjudged: something that a training reads was not measured.
    """
    trained = GatesJob.model_validate_json(params.read_bytes()).trained
    gates = orjson.loads(report.read_bytes())["gates"]
    stop(gates, trained)
    write_json(output, {"passed": sorted({gate["gate"] for gate in gates})})


if __name__ == "__main__":
    run(main)
