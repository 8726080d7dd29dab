"""Limits of the questions about RTL. A separate module, because options are validated where no parser is installed."""

from typing import Self

from pydantic import Field, model_validator

from tapeout.config.section import Section, conflict


class Limits(Section):
    """Limits of lengths and numbers of questions."""

    max_context_characters: int = Field(360, ge=80, description="Maximum characters of an excerpt.")
    max_row_characters: int = Field(
        540, ge=120, description="Maximum characters of instruction, context and response; longer rows are dropped."
    )
    max_window_items: int = Field(
        4, ge=2, description="Maximum ports or declarations in an excerpt that is not a whole module header."
    )
    max_rows_per_excerpt: int = Field(2, ge=1, description="Maximum rows of one category about one excerpt.")
    max_rows_per_module: int = Field(4, ge=1, description="Maximum rows of one category about one module.")
    max_rows_per_category: int = Field(1200, ge=1, description="Maximum rows of one category from training cores.")
    max_test_rows_per_category: int = Field(60, ge=1, description="Maximum rows of one category from held-out cores.")

    @model_validator(mode="after")
    def _room_for_a_question(self) -> Self:
        if self.max_row_characters < self.max_context_characters + 40:
            raise conflict(
                f"max_row_characters is {self.max_row_characters}; it must exceed max_context_characters, "
                f"{self.max_context_characters}, by at least 40",
                f"Raise it to at least {self.max_context_characters + 40}.",
                "max_row_characters",
                "max_context_characters",
            )
        return self
