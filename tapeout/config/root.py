"""The whole configuration: all sections together, read from YAML and checked before any rule runs."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from tapeout import plugins
from tapeout.config.base import Base, BaseExtended
from tapeout.config.comparison import Bounds
from tapeout.config.container import Container
from tapeout.config.corpus import Corpus
from tapeout.config.dapt import Dapt
from tapeout.config.evaluation import Evaluation
from tapeout.config.export import Export
from tapeout.config.folder import listing, tree_digest
from tapeout.config.inspection import DataReport
from tapeout.config.instructions import FORMATS, EncodeJob, FormatOptions, Instructions, InstructionSetJob
from tapeout.config.pretraining import Pretraining
from tapeout.config.renamed import renamed
from tapeout.config.report import Report
from tapeout.config.section import Section
from tapeout.config.sft import Sft
from tapeout.config.sources import FileSource, FolderSource, Sources
from tapeout.config.strict_yaml import read_mapping
from tapeout.config.tokenizer import Tokenizer
from tapeout.errors import TapeoutError


class InvalidConfig(TapeoutError):
    """The configuration does not fit its models."""


class Settings(Section):
    """All sections. Every field has a default; ``config/default.yaml`` shows those that one changes."""

    sources: Sources
    site: str = Field("config/site.yaml", description="File that describes the cluster; no identity.")
    corpus: Corpus = Corpus()
    pretraining: Pretraining = Pretraining()
    instructions: Instructions = Field(default_factory=Instructions)
    data_report: DataReport = DataReport()
    tokenizer: Tokenizer = Tokenizer()
    base: Base = Base()
    base_extended: BaseExtended = BaseExtended()
    dapt: Dapt = Dapt()
    sft: Sft = Sft()
    export: Export = Export()
    evaluation: Evaluation = Evaluation()
    report: Report = Report()
    container: Container = Container()
    comparison: Bounds = Bounds()

    @property
    def used_sources(self) -> list[str]:
        """Names of the sources that the graph reads, sorted; the sources file may list more."""
        corpora = {*self.corpus.domain.sources, *self.corpus.general.sources}
        instructions = {name for options in self.set_options.values() for name in options.sources}
        return sorted({*corpora, *self.pretraining.sources, *instructions, self.tokenizer.source})

    @property
    def set_options(self) -> dict[str, FormatOptions]:
        """Options of each instruction data set, resolved."""
        return {name: options.resolved(name, self.corpus) for name, options in self.instructions.sets.items()}

    def set_sources(self, name: str) -> tuple[str, ...]:
        """Return the sources of an instruction data set, in the order of the rule's inputs."""
        return self.set_options[name].sources

    def instruction_set(self, name: str) -> InstructionSetJob:
        """Return the parameters of the rule ``instructions`` for a set."""
        options = self.set_options[name]
        return InstructionSetJob(
            name=name, licences={source: self.sources[source].licence for source in options.sources}, options=options
        )

    def format_module(self, name: str) -> str:
        """Return the dotted name of the module of a set's format."""
        return plugins.module_name(FORMATS, self.instructions.sets[name].format)

    def format_environment(self, name: str) -> str:
        """Return the name of the locked environment in which a set's format runs."""
        module = plugins.load(FORMATS, self.instructions.sets[name].format)
        return str(getattr(module, "ENVIRONMENT", "corpus"))

    def encoding(self) -> EncodeJob:
        """Return how instruction rows become token ids; of the chat template the text counts, not its path.

        Raises:
            InvalidConfig: the chat template cannot be read.
        """
        path = self.instructions.prompt.chat_template
        return EncodeJob(
            prompt=self.instructions.prompt.model_copy(update={"chat_template": None if path is None else ""}),
            chat_template=None if path is None else text_of(path),
            template=self.sft.template,
            seq_length=self.sft.seq_length,
        )

    @model_validator(mode="after")
    def _something_to_read(self) -> "Settings":
        if self.dapt.reads == "pretraining" and not self.pretraining.components:
            raise ValueError("dapt.reads is pretraining, and pretraining.components names nothing")
        return self

    @model_validator(mode="after")
    def _benchmarks_are_no_training(self) -> "Settings":
        benchmarks = set(self.data_report.benchmarks)
        if unknown := sorted(benchmarks - set(self.instructions.sets)):
            raise ValueError(
                f"data_report.benchmarks names {', '.join(unknown)}, which instructions.sets does not have"
            )
        if trained := sorted(benchmarks & set(self.instructions.train)):
            raise ValueError(f"data_report.benchmarks names {', '.join(trained)}, which instructions.train trains on")
        return self

    @model_validator(mode="after")
    def _sources_exist(self) -> "Settings":
        unknown = sorted(set(self.used_sources) - set(self.sources))
        if unknown:
            raise ValueError(f"sources {', '.join(unknown)} are used but are not in the sources file")
        reading = {"pretraining.components": set(self.pretraining.sources)}
        for name, options in self.set_options.items():
            reading[f"instructions.sets.{name}"] = set(options.sources) - set(options.held_out)
        for key, names in reading.items():
            held_out = sorted(names & set(self.corpus.domain.test))
            if held_out:
                raise ValueError(f"{key} names {', '.join(held_out)}, which is held out")
        return self

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Settings":
        read_by: dict[tuple[str, str], str] = {}
        for name in self.instructions.train:
            options = self.set_options[name]
            for source in options.sources:
                other = read_by.setdefault((source, options.files), name)
                if other != name:  # each set is split by itself: what one trains on, the other would validate on
                    raise ValueError(f"the sets {other} and {name} of instructions.train both read source {source}")
        held_out = {self._content(name): name for name in self.corpus.domain.test}
        for name in self.used_sources:
            other = held_out.get(self._content(name), name)
            if other != name and self._content(name) is not None:
                raise ValueError(f"source {name} is read, and is the same file as {other}, which is held out")
        return self

    def _content(self, name: str) -> str | None:
        """SHA-256 of a source that is one file, as far as it is pinned."""
        return getattr(self.sources[name], "sha256", None)

    def pinned(self, digests: Callable[[Sequence[Path]], list[str]]) -> "Settings":
        """The same settings, in which every local source that is used is pinned to what it is now.

        A local file or folder may go without a hash in the sources file, so that one can edit it and run again; its
        digest, taken here, is then the parameter that the steps behind it see.

        Args:
            digests: SHA-256 of files, in their order.

        Raises:
            InvalidConfig: a local file is missing.
            UnusableFolder: a local folder is missing, or holds what cannot be taken.
        """
        sources = dict(self.sources)
        for name in self.used_sources:
            source = sources[name]
            if isinstance(source, FileSource) and source.sha256 is None:
                if not Path(source.path).is_file():
                    raise InvalidConfig(f"Source {name}: there is no file {source.path}.", "Correct the sources file.")
                sources[name] = source.model_copy(update={"sha256": digests([Path(source.path)])[0]})
            if isinstance(source, FolderSource) and source.sha256 is None:
                files = listing(source)
                found = dict(zip(files, digests(list(files.values())), strict=True))
                sources[name] = source.model_copy(update={"sha256": tree_digest(found)})
        return self.model_copy(update={"sources": sources})


def load(config: dict[str, Any], files: Sequence[str | Path] = ()) -> Settings:
    """Check a configuration that Snakemake has read; its key ``sources`` is the path of a sources file, or several.

    Args:
        config: all of it.
        files: from which it was read; Snakemake's reader takes the last value of a key that stands there twice.

    Raises:
        InvalidConfig: naming keys that were renamed, or the first key that is unknown or wrong, and how many more
            there are.
    """
    for file in files:
        mapping_of(file, "config file")
    paths = config.get("sources", "config/sources.yaml")
    sources: dict[str, Any] = {}
    for path in [paths] if isinstance(paths, str) else paths:
        sources |= mapping_of(path, "sources file")
    check_names({**config, "sources": sources})
    try:
        return Settings.model_validate({**config, "sources": sources})
    except ValidationError as error:
        raise explained(error, Settings, "the config file; config/schema.json lists all keys") from error


def check_names(config: Mapping[str, Any], prefix: str = "") -> None:
    """Reject keys that were renamed or removed; see ``tapeout.config.renamed``.

    Raises:
        InvalidConfig: naming each outdated key and its new name.
    """
    if outdated := renamed(config, prefix):
        raise InvalidConfig(
            f"Outdated config keys: {'; '.join(outdated)}.", "Use the new names; CHANGELOG.md lists all changes."
        )


def mapping_of(path: str | Path, kind: str) -> dict[str, Any]:
    """Content of a YAML file.

    Raises:
        InvalidConfig: it cannot be read.
    """
    try:
        return read_mapping(Path(path))
    except OSError as error:
        told = f"The {kind} {path} cannot be read: {error.strerror}."
        raise InvalidConfig(told, "Correct its path; it counts from the project's folder.") from error
    except ValueError as error:
        raise InvalidConfig(f"The {kind} {path} cannot be read: {error}.", "Correct the file.") from error


def text_of(path: str) -> str:
    """Text of a file that the configuration names.

    Raises:
        InvalidConfig: it cannot be read.
    """
    try:
        return Path(path).read_bytes().decode()  # line ends as they are
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"The file {path} cannot be read: {error}.", "Correct its path in the config.") from error


def explained(error: ValidationError, model: type[BaseModel], file: str) -> InvalidConfig:
    """What is wrong first, in the user's words: which key, in which file, and what was perhaps meant.

    Args:
        error: of validating ``model``.
        model: the whole that was validated.
        file: where a key of it stands, in words.
    """
    # a key that is misspelt is often missing as well: the unknown one tells more
    first, *more = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    *parents, key = first["loc"] or ("",)
    others = f" ({len(more)} more)" if more else ""
    place, kind = "config key", file
    if parents and parents[0] == "sources":
        place, kind = "sources file", "the sources file"
    where = ".".join(str(part) for number, part in enumerate([*parents, key]) if number != _tag(first["loc"]))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(key), _fields(model, parents), n=1)
        hint = f"; did you mean {near[0]}?" if near else first.get("ctx", {}).get("hint", ".")
        return InvalidConfig(f"{place} {where} is unknown{others}{hint}", f"Correct or remove it in {kind}.")
    told = first["msg"].removeprefix("Value error, ").rstrip(".")
    return InvalidConfig(f"{f'{place} {where}' if where else 'config'}: {told}{others}.", f"Correct it in {kind}.")


def _tag(location: Sequence[Any]) -> int | None:
    """Where pydantic puts the kind of a record that it tried: no key of the user's."""
    return 2 if location[:1] == ("sources",) else None


def _fields(model: type[BaseModel], parents: list[Any]) -> list[str]:
    """Names of the fields at a place in the configuration; none where it is not made of sections."""
    here: Any = model
    for parent in parents:
        if get_origin(here) is Annotated:
            # kinds of records: the one whose field kind has this value
            kinds = get_args(get_args(here)[0])
            here = next((each for each in kinds if _is_called(each, str(parent))), None)
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        elif isinstance(here, type) and issubclass(here, BaseModel) and parent in here.model_fields:
            here = here.model_fields[parent].annotation
        else:
            return []
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _is_called(kind: type[BaseModel], name: str) -> bool:
    field = kind.model_fields.get("kind")
    return field is not None and name in get_args(field.annotation)
