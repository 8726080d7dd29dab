"""The whole configuration: all sections together, read from YAML and checked before any rule runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from tapeout.config.base import Base, BaseExtended
from tapeout.config.corpus import Corpus
from tapeout.config.dapt import Dapt
from tapeout.config.evaluation import Evaluation
from tapeout.config.export import Export
from tapeout.config.instructions import Instructions
from tapeout.config.report import Report
from tapeout.config.section import Section
from tapeout.config.sft import Sft
from tapeout.config.sources import FileSource, Sources
from tapeout.config.tokenizer import Tokenizer
from tapeout.errors import TapeoutError


class InvalidConfig(TapeoutError):
    """The configuration does not fit its models."""


class Settings(Section):
    """All sections. Every field has a default; ``config/default.yaml`` shows those that one changes."""

    sources: Sources
    corpus: Corpus = Corpus()
    instructions: Instructions = Instructions()
    tokenizer: Tokenizer = Tokenizer()
    base: Base = Base()
    base_extended: BaseExtended = BaseExtended()
    dapt: Dapt = Dapt()
    sft: Sft = Sft()
    export: Export = Export()
    evaluation: Evaluation = Evaluation()
    report: Report = Report()

    @property
    def used_sources(self) -> list[str]:
        """Names of the sources that the graph reads, sorted; the sources file may list more."""
        return sorted({*self.corpus.domain.sources, *self.corpus.general.sources, self.tokenizer.source})

    @model_validator(mode="after")
    def _sources_exist(self) -> "Settings":
        unknown = sorted(set(self.used_sources) - set(self.sources))
        if unknown:
            raise ValueError(f"sources {', '.join(unknown)} are used but are not in the sources file")
        return self

    def pinned(self, digest: Callable[[Path], str]) -> "Settings":
        """The same settings, in which every local source that is used is pinned to what it is now.

        A local file may go without a hash in the sources file, so that one can edit it and run again; its digest, taken
        here, is then the parameter that the steps behind it see.

        Args:
            digest: SHA-256 of a file.

        Raises:
            InvalidConfig: a local file is missing.
        """
        sources = dict(self.sources)
        for name in self.used_sources:
            source = sources[name]
            if isinstance(source, FileSource) and source.sha256 is None:
                if not Path(source.path).is_file():
                    raise InvalidConfig(f"Source {name}: there is no file {source.path}.", "Correct the sources file.")
                sources[name] = source.model_copy(update={"sha256": digest(Path(source.path))})
        return self.model_copy(update={"sources": sources})


def load(config: dict[str, Any]) -> Settings:
    """Check a configuration that Snakemake has read; its key ``sources`` is the path of the sources file.

    Raises:
        InvalidConfig: naming the first key that is unknown or wrong, and how many more there are.
    """
    path = Path(config.get("sources", "config/sources.yaml"))
    try:
        sources = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InvalidConfig(f"The sources file {path} cannot be read: {error}.", "Correct the key sources.") from error
    try:
        return Settings.model_validate({**config, "sources": sources})
    except ValidationError as error:
        first, *more = error.errors()
        where = ".".join(str(part) for part in first["loc"])
        others = f" ({len(more)} more)" if more else ""
        raise InvalidConfig(
            f"config key {where or 'as a whole'}: {first['msg'].rstrip('.')}{others}.",
            "Correct it in the config file; config/schema.json lists all keys.",
        ) from error
