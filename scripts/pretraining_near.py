"""Find near duplicates across all shards."""

from pathlib import Path

from tapeout.config.pretraining import NearJob
from tapeout.data.shards.near_duplicates import write_near
from tapeout.program import step


@step(NearJob)
def main(job: NearJob, signatures: list[Path], output: Path) -> None:
    """Write for each shard which of its documents to drop, and report.json, into the new folder ``output``.

    Inputs:
        signatures: signatures of each shard.
    """
    write_near(signatures, job.shards, output, job)


if __name__ == "__main__":
    main()
