"""Combine the tokenized shards into a blend: data sets with their weights, and token counts."""

from pathlib import Path

import orjson

from tapeout.config.pretraining import BlendJob
from tapeout.data.io.jsonl import write_json
from tapeout.data.shards.blend import blend
from tapeout.program import step


@step(BlendJob)
def main(job: BlendJob, reports: list[Path], output: Path) -> None:
    """Write the blend as JSON.

    Inputs:
        reports: report of each shard's tokens.
    """
    write_json(output, blend([orjson.loads(report.read_bytes()) for report in reports], job))


if __name__ == "__main__":
    main()
