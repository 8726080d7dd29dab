"""Make instruction rows with exact answers from the RTL of the cores."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.instructions import RawJob
from tapeout.data.corpus.corpus import read_sources
from tapeout.data.instructions.rtl_questions import instruction_rows
from tapeout.data.io.jsonl import write_jsonl
from tapeout.program import run


def main(
    sources: Annotated[list[Path], typer.Option(help="folder of a core, in the order of the sorted names")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="JSONL file to write")],
) -> None:
    """Read the source folders, given in the order of the sorted names, and write one JSONL file in Dolly's schema."""
    job = RawJob.model_validate_json(params.read_bytes())
    documents, _ = read_sources(job.domain.sources, sources, job.domain)
    rows = instruction_rows(documents, job.domain.test, job)
    write_jsonl(
        output,
        (
            {
                "instruction": row.question.instruction,
                "context": row.question.context,
                "response": row.question.response,
                "category": row.question.category,
                "source": row.source,
                "licence": job.licences[row.source],
                "group": row.group,
            }
            for row in rows
        ),
    )
    for (category, source), count in sorted(Counter((row.question.category, row.source) for row in rows).items()):
        print(f"{category:24}{source:16}{count:6}")


if __name__ == "__main__":
    run(main)
