"""Extend the base vocabulary with pieces of the domain text, and verify the result."""

from pathlib import Path

from tapeout.config.tokenizer import Tokenizer
from tapeout.data.io.jsonl import read_texts, read_texts_by_source, write_json, write_jsonl
from tapeout.encoder.fast_tokenizer import FILE, fast_tokenizer
from tapeout.program import step
from tapeout.tokenizer.checks import added_rows, check
from tapeout.tokenizer.extension import extend_vocabulary
from tapeout.tokenizer.source import vocabulary_in_source


@step(Tokenizer)
def main(
    job: Tokenizer,
    base: Path,
    domain: Path,
    general: Path,
    domain_test: Path,
    general_test: Path,
    output: Path,
    threads: int,
) -> None:
    """Write the extended and the base vocabulary, vocab_added.jsonl and report.json into the new folder ``output``.

    A SentencePiece model is also written as tokenizer.json, with the same ids.

    Inputs:
        base: folder that contains the base vocabulary: that of a source, or of a base model with its own.
        domain: domain training text, JSONL.
        general: general training text, JSONL.
        domain_test: domain test text, JSONL.
        general_test: general test text, JSONL.
    """
    vocabulary = vocabulary_in_source(base, job.model_file)
    extension = extend_vocabulary(vocabulary, read_texts_by_source(domain), read_texts_by_source(general), job, threads)
    library = None if job.file_name == FILE else fast_tokenizer(extension.vocabulary.content)
    tests = read_texts(domain_test), read_texts(general_test)
    report = check(vocabulary, extension, *tests, job, threads, library)
    output.mkdir()
    if library is not None:
        (output / FILE).write_text(library, encoding="utf-8")
    (output / job.base_file_name).write_bytes(vocabulary.content)
    (output / job.file_name).write_bytes(extension.vocabulary.content)
    write_jsonl(output / "vocab_added.jsonl", added_rows(vocabulary, extension))
    write_json(output / "report.json", report)


if __name__ == "__main__":
    main()
