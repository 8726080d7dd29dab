"""Training and test corpora: the files that are read, and those that are held out."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName

Pattern = Annotated[str, Field(min_length=1)]

RTL_SUFFIXES = (".v", ".sv", ".vh", ".svh")
"""Verilog and SystemVerilog sources and headers."""


class Selection(Section):
    """Selection of the files that become documents."""

    include: tuple[Pattern, ...] = Field(min_length=1, description="Shell patterns over the path; * crosses folders.")
    exclude: tuple[Pattern, ...] = Field(default=(), description="Shell patterns that override include.")
    max_bytes: int = Field(
        default=200_000, gt=0, description="Larger files are dropped: generated or netlist-like text swamps a corpus."
    )
    min_characters: int = Field(
        default=64, ge=1, description="Documents with fewer characters, white space aside, are dropped."
    )
    netlists: Literal["drop", "keep"] = Field(
        default="drop", description="Verilog netlists of gates that a program has written: dropped or kept."
    )

    @model_validator(mode="after")
    def _some_size_is_read(self) -> Self:
        if self.min_characters > self.max_bytes:
            raise conflict(
                f"min_characters is {self.min_characters} and max_bytes {self.max_bytes}: no document has such a size",
                "Lower min_characters, or raise max_bytes.",
                "min_characters",
                "max_bytes",
            )
        return self


class DomainCorpus(Selection):
    """Chip-design text; the test split is made of whole cores that are never trained on."""

    include: tuple[Pattern, ...] = Field(
        default=tuple(f"*{suffix}" for suffix in (*RTL_SUFFIXES, ".vhd", ".vhdl", ".md", ".rst", ".adoc")),
        min_length=1,
        description="Shell patterns over the path; * crosses folders.",
    )
    exclude: tuple[Pattern, ...] = Field(
        default=("*coremark*", "*/riscv-arch-tests/*", "*/riscv-isa-sim/*", "*/riscv-tests/*", "*/riscv-test-env/*"),
        description="Shell patterns that override include; the default excludes vendored code under other licences.",
    )
    train: tuple[SourceName, ...] = Field(
        default=("blackparrot", "cv32e40p", "ibex"), min_length=1, description="Cores to train on."
    )
    test: tuple[SourceName, ...] = Field(
        default=("cva5", "picorv32", "serv"), min_length=1, description="Cores that are held out entirely."
    )

    @property
    def sources(self) -> tuple[SourceName, ...]:
        """All sources, sorted; the rule lists its inputs in this order."""
        return tuple(sorted((*self.train, *self.test)))

    @model_validator(mode="after")
    def _each_core_once(self) -> Self:
        for name in sorted(set(self.sources)):
            if self.sources.count(name) > 1:
                keys = [key for key in ("train", "test") if name in getattr(self, key)]
                cause = f"the core {name} is named twice, in {' and '.join(keys)}"
                raise conflict(cause, "Name it once: it is either trained on or held out.", *keys)
        return self


class GeneralCorpus(Selection):
    """General English text; the test split is a fraction of the documents, chosen by digest."""

    include: tuple[Pattern, ...] = Field(
        default=("*/docs/*.txt",), min_length=1, description="Shell patterns over the path; * crosses folders."
    )
    exclude: tuple[Pattern, ...] = Field(
        default=("*/docs/_theme/*", "*/docs/requirements.txt", "*/docs/releases/*"),
        description="Shell patterns that override include. Release notes describe one fix for several versions, so "
        "they would put test text into the training text.",
    )
    names: tuple[SourceName, ...] = Field(default=("django",), min_length=1, description="Names of the sources.")
    test_fraction: float = Field(default=0.1, gt=0, lt=1, description="Fraction of the documents that is held out.")

    @property
    def sources(self) -> tuple[SourceName, ...]:
        """All sources, sorted; the rule lists its inputs in this order."""
        return tuple(sorted(set(self.names)))


class Corpus(Section):
    """The two corpora."""

    domain: DomainCorpus = DomainCorpus()
    general: GeneralCorpus = GeneralCorpus()


class DomainJob(DomainCorpus):
    """Parameters of the rule ``corpus_domain``."""

    licences: dict[SourceName, str] = Field(description="Licence of each source, from the sources file.")


class GeneralJob(GeneralCorpus):
    """Parameters of the rule ``corpus_general``."""

    licences: dict[SourceName, str] = Field(description="Licence of each source, from the sources file.")
