"""Parameters of the evaluation of one model."""

from pydantic import Field

from tapeout.config.section import Section


class Evaluation(Section):
    """How much is measured, and how. The same values hold for every model, so that the results can be paired."""

    max_bytes: int = Field(
        81_920,
        ge=1,
        description="UTF-8 bytes of test text read per corpus. Whole documents (see max_document_bytes) are taken in "
        "the order of their digests until the next one would go over; the first is always taken.",
    )
    max_document_bytes: int = Field(
        3_072,
        ge=1,
        description="Longest part of one document that is scored, from its beginning to the last line end within this "
        "limit. Many short pieces give narrower intervals than few long files for the same work.",
    )
    overlap: float = Field(
        0.25,
        ge=0.0,
        lt=1.0,
        description="Part of a window of the model's context that repeats the window before it, so that no token but "
        "those at the beginning of a document is predicted from fewer than overlap x context tokens.",
    )
    max_rows: int = Field(
        160,
        ge=1,
        description="Instruction rows that are scored and answered: the same number from each category, chosen by "
        "digest.",
    )
    max_new_tokens: int = Field(
        96,
        ge=1,
        description="Longest answer that is generated. The result counts the expected answers that are longer (F64).",
    )
    kept_generations: int = Field(2, ge=0, description="Generations per category that are kept verbatim.")
    score_batch_tokens: int = Field(
        4_096,
        ge=1,
        description="Tokens, padding included, in one forward pass while scoring; the last bits of a float sum depend "
        "on it.",
    )
    generation_batch_rows: int = Field(
        64, ge=1, description="Rows that are answered side by side; the last bits of a float sum depend on it."
    )
    threads: int = Field(
        2,
        ge=1,
        description="Threads of PyTorch: another number adds floats in another order, so it is a parameter and not a "
        "resource.",
    )


class EvaluationParameters(Evaluation):
    """What the rule passes: the section, and the prompt template that the section ``sft`` owns."""

    template: str = Field(
        description="Template of the prompts for models without one of their own (base and DAPT); a fine-tuned model "
        "keeps the template it was trained with in prompt_template.json (F55)."
    )
