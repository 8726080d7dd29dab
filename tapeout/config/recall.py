"""Parameters of the rule ``retrieval_recall``."""

from typing import Self

from pydantic import Field

from tapeout.config.report import Statistics
from tapeout.config.retrieval import Retrieval


class RecallJob(Statistics):
    """Parameters of the rule ``retrieval_recall``; the intervals have the settings of the section ``report``."""

    at: tuple[int, ...] = Field(description="Numbers of first passages among which a right one counts.")
    depth: int = Field(description="Ranks that are looked at; a right passage below counts as not found.")
    systems: tuple[str, ...] = Field(description="Names of the indexes, in order.")

    @classmethod
    def of(cls, retrieval: Retrieval, statistics: Statistics) -> Self:
        """Return the parameters for a configuration."""
        own = {name: getattr(statistics, name) for name in Statistics.model_fields}
        return cls(**own, at=retrieval.at, depth=retrieval.depth, systems=retrieval.systems)
