"""Options of methods that train low-rank adapters."""

from pydantic import Field

from tapeout.config.section import Section


class LowRank(Section):
    """Layers that get an adapter, and its rank."""

    target_modules: tuple[str, ...] = Field(
        ("*_proj",),
        min_length=1,
        description="Linear layers that get an adapter, by their name or by a pattern of their path.",
    )
    dim: int = Field(8, ge=1, description="Rank of an adapter.")
    alpha: int = Field(32, ge=1, description="The product of an adapter's two matrices is multiplied by alpha / dim.")
