"""Parameters of training methods with a validation split: validation, selection of the weights, early end."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import conflict
from tapeout.config.training import Training

METRIC = "validation_loss"
"""Loss on the whole validation split. With a category after a slash, the loss on the rows of that category."""


class MeasuredTraining(Training):
    """Training that measures the loss on a validation split."""

    val_check_interval: int = Field(
        125, ge=1, description="Steps between measurements of the loss on the whole validation split."
    )

    @model_validator(mode="after")
    def _is_validated(self) -> Self:
        if self.val_check_interval > self.max_steps:
            raise conflict(
                f"val_check_interval is {self.val_check_interval}, more than max_steps, {self.max_steps}: "
                "there would be no validation at all",
                f"Lower it to at most {self.max_steps}.",
                "val_check_interval",
                "max_steps",
            )
        return self


class ValidatedTraining(MeasuredTraining):
    """Training whose weights and end can depend on the validation loss."""

    validation_by_category: bool = Field(
        False, description="Measure the validation loss of the rows of each category, whose weighted mean is the total."
    )
    selection: Literal["last", "best"] = Field(
        "last",
        description="Weights of the trained model: those of the last step, or of the validated step with the lowest "
        "value of monitor.",
    )
    patience: int | None = Field(
        None, ge=1, description="Validations without a lower value of monitor after which the training ends; null: all."
    )
    monitor: str = Field(
        METRIC,
        description="What selection and patience look at: validation_loss, or with validation_by_category the loss of "
        "one category, validation_loss/<category>.",
    )

    @model_validator(mode="after")
    def _monitor_is_measured(self) -> Self:
        metric, _, category = self.monitor.partition("/")
        if metric != METRIC or self.monitor == f"{METRIC}/":
            cause = f"monitor names {self.monitor}, which this training does not measure"
            raise conflict(cause, f"Name {METRIC}, or {METRIC}/ and a category.", "monitor")
        if category and not self.validation_by_category:
            cause = f"monitor names the category {category}, and categories are not measured"
            fix = "Set validation_by_category: true, or remove monitor."
            raise conflict(cause, fix, "monitor", "validation_by_category")
        if self.monitor != METRIC and not self.monitors:
            cause = "monitor has no effect without selection: best or patience"
            raise conflict(cause, "Remove monitor, or set one of them.", "monitor", "selection", "patience")
        return self

    @model_validator(mode="after")
    def _there_is_a_choice(self) -> Self:
        if self.selection == "best" and self.val_check_interval == self.max_steps:
            raise conflict(
                f"selection is best, and the only validation is that of the last step, {self.max_steps}",
                "Lower val_check_interval, or remove selection.",
                *("selection", "val_check_interval", "max_steps"),
            )
        if self.patience is not None and (self.patience + 1) * self.val_check_interval >= self.max_steps:
            first = (self.patience + 1) * self.val_check_interval
            raise conflict(
                f"patience, {self.patience}, has no effect: the training could end after step {first} at the "
                f"earliest, and has {self.max_steps}",
                "Lower patience or val_check_interval, or remove patience.",
                *("patience", "val_check_interval", "max_steps"),
            )
        return self

    @property
    def monitors(self) -> bool:
        """True if the weights or the end of the training depend on the validation loss."""
        return self.selection == "best" or self.patience is not None
