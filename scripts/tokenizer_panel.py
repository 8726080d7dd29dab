"""Measure what the extended tokenizer changes on held-out text."""

from pathlib import Path

from tapeout.config.tokenizer_panel import TokenizerPanelJob
from tapeout.program import step


@step(TokenizerPanelJob)
def main(
    job: TokenizerPanelJob,
    tokenizer: Path,
    domain_test: Path,
    general_test: Path,
    model: Path,
    output: Path,
    threads: int,
) -> None:
    """Write the figures of the report's section on the tokenizer, as JSON.

    Inputs:
        tokenizer: folder with the base and the extended vocabulary.
        domain_test: domain test text, JSONL.
        general_test: general test text, JSONL.
        model: model with the extended vocabulary, in whose embedding neighbours are searched.
    """
    from tapeout.data.io.jsonl import write_json
    from tapeout.encoder.load import load_encoder
    from tapeout.evals.rows import read_rows
    from tapeout.evals.tokenizer_panel import tokenizer_panel
    from tapeout.nemo.embedding import embedding_rows

    corpora = {
        name: read_rows(path, ("text", "source", "path"))
        for name, path in (("domain", domain_test), ("general", general_test))
    }
    base, extended = (load_encoder(tokenizer / name) for name in (job.base_file, job.file))
    panel = tokenizer_panel(base, extended, corpora, embedding_rows(model), threads)
    write_json(output, {**panel, **job.model_dump(mode="json", include={"context", "training"})})


if __name__ == "__main__":
    main()
