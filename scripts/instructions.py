"""Create an instruction data set: read its sources in their format, and split the rows."""

import json
from pathlib import Path

from tapeout.config.instructions import InstructionSetJob
from tapeout.data.instructions.instruction_set import write_set
from tapeout.program import step


@step(InstructionSetJob)
def main(job: InstructionSetJob, sources: list[Path], output: Path, threads: int) -> None:
    """Write train.jsonl, validation.jsonl, test.jsonl and report.json into the new folder ``output``.

    Inputs:
        sources: folders of the sources, in the order of their sorted names.
    """
    folders = dict(zip(job.options.sources, sources, strict=True))
    for split, count in write_set(folders, job, output, threads).items():
        print(f"{split:12}{count:8}")
    report = json.loads((output / "report.json").read_bytes())
    for reason, dropped in report["dropped"].items():
        print(f"{'dropped':12}{dropped['count']:8}  {', '.join([reason, *dropped['first'][:1]])}")
    for change, count in report["changed"].items():
        print(f"{'changed':12}{count:8}  {change}")


if __name__ == "__main__":
    main()
