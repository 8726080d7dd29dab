"""Which text is trained on, and which is only ever measured on."""

from typing import Annotated

from pydantic import Field, model_validator

from tapeout.config.section import Section
from tapeout.config.sources import SourceName

Pattern = Annotated[str, Field(min_length=1)]

RTL_SUFFIXES = (".v", ".sv", ".vh", ".svh")
"""Verilog and SystemVerilog sources and headers."""


class Selection(Section):
    """Which files of the sources become documents."""

    include: tuple[Pattern, ...] = Field(min_length=1, description="Shell patterns over the path; * crosses folders.")
    exclude: tuple[Pattern, ...] = Field(default=(), description="Shell patterns that win over include.")
    maximum_bytes: int = Field(
        default=200_000, gt=0, description="Larger files are dropped: generated or netlist-like text swamps a corpus."
    )
    minimum_characters: int = Field(default=64, ge=1, description="Shorter documents, white space aside, are dropped.")


class DomainCorpus(Selection):
    """Chip-design text; the test text comes from whole cores that are never trained on."""

    include: tuple[Pattern, ...] = Field(
        default=tuple(f"*{suffix}" for suffix in (*RTL_SUFFIXES, ".vhd", ".vhdl", ".md", ".rst", ".adoc")),
        min_length=1,
        description="Shell patterns over the path; * crosses folders.",
    )
    exclude: tuple[Pattern, ...] = Field(
        default=("*coremark*", "*/riscv-arch-tests/*", "*/riscv-isa-sim/*", "*/riscv-tests/*", "*/riscv-test-env/*"),
        description="Vendored parts under other terms than their core's.",
    )
    train: tuple[SourceName, ...] = Field(
        default=("blackparrot", "cv32e40p", "ibex"), min_length=1, description="Cores to train on."
    )
    test: tuple[SourceName, ...] = Field(
        default=("cva5", "picorv32", "serv"), min_length=1, description="Cores that are held out as a whole."
    )

    @property
    def sources(self) -> tuple[SourceName, ...]:
        """All sources, in the order in which the rule names them."""
        return tuple(sorted((*self.train, *self.test)))

    @model_validator(mode="after")
    def _each_core_once(self) -> "DomainCorpus":
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("a core is named twice: it must be either trained on or held out")
        return self


class GeneralCorpus(Selection):
    """General English; the test text is a share of the documents, chosen by their own digests."""

    include: tuple[Pattern, ...] = Field(
        default=("*/docs/*.txt",), min_length=1, description="Shell patterns over the path; * crosses folders."
    )
    exclude: tuple[Pattern, ...] = Field(
        default=("*/docs/_theme/*", "*/docs/requirements.txt", "*/docs/releases/*"),
        description="Shell patterns that win over include. Release notes tell the same fix for several versions: "
        "training text would hold test text.",
    )
    names: tuple[SourceName, ...] = Field(default=("django",), min_length=1, description="The sources.")
    test_share: float = Field(default=0.1, gt=0, lt=1, description="Share of the documents that is held out.")

    @property
    def sources(self) -> tuple[SourceName, ...]:
        """All sources, in the order in which the rule names them."""
        return tuple(sorted(set(self.names)))


class Corpus(Section):
    """The two corpora."""

    domain: DomainCorpus = DomainCorpus()
    general: GeneralCorpus = GeneralCorpus()


class DomainJob(DomainCorpus):
    """Parameters of the rule ``corpus_domain``: the section, and each source's licence from the sources file."""

    licences: dict[SourceName, str] = Field(description="Licence of each source.")


class GeneralJob(GeneralCorpus):
    """Parameters of the rule ``corpus_general``: the section, and each source's licence from the sources file."""

    licences: dict[SourceName, str] = Field(description="Licence of each source.")
