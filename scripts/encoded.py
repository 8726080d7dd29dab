"""Encode the rows of an instruction data set as token ids with loss masks."""

from pathlib import Path

from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.encoded_set import encode_set
from tapeout.data.encode.model_template import with_model_template
from tapeout.program import step


@step(EncodeJob)
def main(job: EncodeJob, rows: Path, tokenizer: Path, output: Path, template: Path | None = None) -> None:
    """Write a JSONL file for each split, prompt_template.json and report.json into the new folder ``output``.

    Inputs:
        rows: folder of an instruction data set.
        tokenizer: model file of the vocabulary.
        template: folder of the base model, if its own chat template renders the rows.
    """
    encode_set(rows, tokenizer, with_model_template(job, template), output)


if __name__ == "__main__":
    main()
