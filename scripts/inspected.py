"""Inspect one data set before anything trains on it: counts, overlap with the test sets, loss masks."""

from pathlib import Path

from tapeout.config.inspection import InspectJob
from tapeout.inspection.inspect import inspect
from tapeout.program import step


@step(InspectJob)
def main(
    job: InspectJob,
    rows: Path,
    tests: list[Path],
    tokenizer: Path,
    output: Path,
    threads: int,
    encoded: Path | None = None,
) -> None:
    """Write measures.json, overlaps.jsonl and samples.jsonl into the new folder ``output``.

    Inputs:
        rows: folder of the set.
        tests: files of all test sets, JSONL.
        tokenizer: file of the extended tokenizer.
        encoded: folder of the same set as token ids, if it is instruction data.
    """
    inspect(rows, encoded, tests, tokenizer, job, output, threads)


if __name__ == "__main__":
    main()
