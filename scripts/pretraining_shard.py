"""Clean one shard (duplicates, quality, secrets) and compute the signatures of its documents."""

from pathlib import Path

from tapeout.config.pretraining import ShardJob
from tapeout.data.shards.shard import write_shard
from tapeout.program import step


@step(ShardJob)
def main(job: ShardJob, parts: list[Path], output: Path, threads: int) -> None:
    """Write documents.jsonl, report.json and the signatures into the new folder ``output``.

    Inputs:
        parts: the shard's documents of each source, JSONL.
    """
    write_shard(parts, output, job, threads)


if __name__ == "__main__":
    main()
