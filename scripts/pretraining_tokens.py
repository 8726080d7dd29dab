"""Tokenize one shard."""

from pathlib import Path

from tapeout.config.pretraining import TokensJob
from tapeout.data.shards.tokens import write_tokens
from tapeout.program import step


@step(TokensJob)
def main(
    job: TokensJob, documents: Path, tokenizer: Path, output: Path, threads: int, near: Path | None = None
) -> None:
    """Write a .bin and an .idx file for each component, and report.json, into the new folder ``output``.

    Inputs:
        documents: documents of the shard, JSONL.
        tokenizer: model file of the vocabulary.
        near: documents to drop as near duplicates, JSONL.
    """
    write_tokens(documents, near, tokenizer, output, job.append_eod, threads)


if __name__ == "__main__":
    main()
