"""Add embedding rows to the base model for the pieces that extend its tokenizer."""

from pathlib import Path

from tapeout.config.base import BaseExtended
from tapeout.program import step


@step(BaseExtended)
def main(job: BaseExtended, base: Path, tokenizer: Path, output: Path) -> None:
    """Write a Hugging Face folder with the extended tokenizer and extension.json.

    Inputs:
        base: Hugging Face folder of the base model.
        tokenizer: model file of the extended vocabulary.
    """
    from tapeout.data.io.jsonl import write_json
    from tapeout.models.extend import extend_model

    report = extend_model(base, tokenizer, job, output)
    write_json(output / "extension.json", report)


if __name__ == "__main__":
    main()
