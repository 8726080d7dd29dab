"""The whole configuration: all sections, validated before any rule runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from tapeout import plugins
from tapeout.config.base import Base, BaseExtended
from tapeout.config.comparison import Bounds
from tapeout.config.container import Container
from tapeout.config.corpus import Corpus
from tapeout.config.dapt import Dapt
from tapeout.config.evaluation import Evaluation, TaskRun
from tapeout.config.export import Export
from tapeout.config.inspection import DataReport
from tapeout.config.instructions import FORMATS, EncodeJob, FormatOptions, Instructions, InstructionSetJob
from tapeout.config.methods import SEAM as METHODS
from tapeout.config.methods import Methods
from tapeout.config.plugin_options import unknown_key_hint
from tapeout.config.pretraining import Pretraining
from tapeout.config.renamed import renamed
from tapeout.config.report import Report
from tapeout.config.section import Section
from tapeout.config.sft import Sft
from tapeout.config.sources import KINDS, Digests, Sources
from tapeout.config.tokenizer import Tokenizer
from tapeout.config.yaml_files import InvalidConfig, read_mapping

FILE = "the config file; config/schema.json lists all keys"
"""Name of the file with a wrong key, in messages."""


class Settings(Section):
    """All sections. Every field has a default; ``config/default.yaml`` shows the ones that are usually changed."""

    sources: Sources = Field(
        description="Path of a sources file, or a list of paths; later files override earlier ones."
    )
    site: str = Field(
        "config/site.yaml", description="Site file, which describes the cluster; it is not part of any identity."
    )
    corpus: Corpus = Corpus()
    pretraining: Pretraining = Pretraining()
    instructions: Instructions = Field(default_factory=Instructions)
    data_report: DataReport = DataReport()
    tokenizer: Tokenizer = Tokenizer()
    base: Base = Base()
    base_extended: BaseExtended = BaseExtended()
    dapt: Dapt = Dapt()
    sft: Sft = Sft()
    methods: Methods = Field(
        {}, description="Parameters of further training methods, by module name; see docs/extending.md."
    )
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
        """Return the parameters of the rule ``encoded``: they contain the text of the chat template, not its path.

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

    @property
    def evaluated_sets(self) -> tuple[str, ...]:
        """Instruction sets whose test rows the models answer."""
        if self.evaluation.sets is not None:
            return self.evaluation.sets
        options = self.set_options
        return tuple(name for name in self.instructions.train if options[name].has_test_rows)

    @property
    def evaluations(self) -> dict[str, TaskRun]:
        """Tasks by the name under which they are evaluated, in the order of the report."""
        return self.evaluation.runs(self.evaluated_sets)

    @model_validator(mode="after")
    def _evaluated_sets_have_test_rows(self) -> Self:
        options = self.set_options
        for name in self.evaluation.sets or ():
            if name not in options:
                raise ValueError(f"evaluation.sets names {name}, which instructions.sets does not have")
            if not options[name].has_test_rows:
                raise ValueError(f"evaluation.sets names {name}, which has no test rows: its split.test is 0")
        return self

    @property
    def default_systems(self) -> tuple[str, ...]:
        """System messages that the formats of the trained sets add to conversations without one, sorted."""
        options = [self.instructions.sets[name] for name in self.instructions.train]
        return tuple(sorted({option.system for option in options if hasattr(option, "system")}))

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if self.dapt.reads == "pretraining" and not self.pretraining.components:
            raise ValueError("dapt.reads is pretraining, but pretraining.components is empty")
        return self

    @model_validator(mode="after")
    def _methods_have_no_section(self) -> Self:
        sections = {plugins.module_name(METHODS, name): name for name in type(self).model_fields}
        for name in self.methods:
            if section := sections.get(plugins.module_name(METHODS, name)):
                raise ValueError(f"methods.{name} would have no effect: its parameters are the section {section}")
        return self

    @model_validator(mode="after")
    def _benchmarks_are_no_training(self) -> Self:
        benchmarks = set(self.data_report.benchmarks)
        if unknown := sorted(benchmarks - set(self.instructions.sets)):
            raise ValueError(
                f"data_report.benchmarks names {', '.join(unknown)}, which instructions.sets does not have"
            )
        if trained := sorted(benchmarks & set(self.instructions.train)):
            raise ValueError(f"data_report.benchmarks names {', '.join(trained)}, which instructions.train trains on")
        return self

    @model_validator(mode="after")
    def _sources_exist(self) -> Self:
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
    def _nothing_twice(self) -> Self:
        read_by: dict[tuple[str, str], str] = {}
        for name in self.instructions.train:
            options = self.set_options[name]
            for source in options.sources:
                other = read_by.setdefault((source, options.files), name)
                if other != name:  # sets are split independently: what one trains on, the other would validate on
                    raise ValueError(f"the sets {other} and {name} of instructions.train both read source {source}")
        held_out = {self.sources[name].content: name for name in self.corpus.domain.test}
        for name in self.used_sources:
            content = self.sources[name].content
            other = held_out.get(content, name)
            if other != name and content is not None:
                raise ValueError(f"source {name} is read, and is the same file as {other}, which is held out")
        return self

    def kind_module(self, source: str) -> str:
        """Return the dotted name of the module of a source's kind."""
        return plugins.module_name(KINDS, self.sources[source].kind)

    def pinned(self, digests: Digests) -> Self:
        """Return the settings with every local source that is used pinned to its current content.

        A local file or folder may go without a hash in the sources file, so that you can edit it and run again; its
        current digest is then the parameter that downstream steps see.

        Args:
            digests: returns the SHA-256 of files, in their order.

        Raises:
            TapeoutError: a local file or folder is missing or cannot be used.
        """
        pinned = {name: self.sources[name].pinned(digests) for name in self.used_sources}
        return self.model_copy(update={"sources": {**self.sources, **pinned}})


def load(config: dict[str, Any], files: Sequence[str | Path] = ()) -> Settings:
    """Validate a configuration that Snakemake has read; its key ``sources`` names one sources file or several.

    Args:
        config: the whole configuration.
        files: the files it was read from, to find repeated keys, of which Snakemake takes the last without notice.

    Raises:
        InvalidConfig: naming keys that were renamed, or the first key that is unknown or wrong and the number of
            further errors.
    """
    for file in files:
        mapping_of(file, "config file")
    paths = config.get("sources", "config/sources.yaml")
    sources: dict[str, Any] = {}
    paths = [paths] if isinstance(paths, str) else paths
    if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
        raise InvalidConfig(
            "config key sources: must be the path of a sources file, or a list of paths.", f"Correct it in {FILE}."
        )
    for path in paths:
        sources |= mapping_of(path, "sources file")
    check_names({**config, "sources": sources})
    try:
        return Settings.model_validate({**config, "sources": sources})
    except ValidationError as error:
        raise explained(error, Settings, FILE) from error


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
    """Return the content of a YAML file.

    Args:
        path: path of the file.
        kind: what the file is, for the error message.

    Raises:
        InvalidConfig: the file cannot be read.
    """
    try:
        return read_mapping(Path(path))
    except OSError as error:
        message = f"Cannot read the {kind} {path}: {error.strerror}."
        raise InvalidConfig(message, "Correct its path, which is relative to the project's folder.") from error
    except ValueError as error:
        raise InvalidConfig(f"Cannot read the {kind} {path}: {error}.", "Correct the file.") from error


def text_of(path: str) -> str:
    """Return the text of a file that the configuration names, with its line ends as they are.

    Raises:
        InvalidConfig: the file cannot be read.
    """
    try:
        return Path(path).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"Cannot read the file {path}: {error}.", "Correct its path in the config.") from error


def explained(error: ValidationError, model: type[BaseModel], file: str) -> InvalidConfig:
    """Return the error that names the key, the file, and the key that was perhaps meant.

    Args:
        error: raised while validating ``model``.
        model: the model of the whole file.
        file: name of the file with the key.
    """
    # a misspelt key is often reported as missing too: the unknown key is the better message
    first, *more = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
    others = f" ({len(more)} more)" if more else ""
    where = "config key"
    if first["loc"][:1] == ("sources",) and len(first["loc"]) > 1:
        where, file = "sources file", "the sources file"
    where = f"{where} {'.'.join(map(str, first['loc']))}" if first["loc"] else "config"
    if first["type"] == "extra_forbidden":
        hint = first.get("ctx", {}).get("hint") or unknown_key_hint(model, first["loc"])
        return InvalidConfig(f"{where} is unknown{others}{hint}", f"Correct or remove it in {file}.")
    message = first["msg"].removeprefix("Value error, ").replace("Input should ", "must ").rstrip(".")
    value = f", not {first['input']!r}" if isinstance(first["input"], str | int | float) else ""
    message += value if first["type"] != "value_error" else ""
    end = "" if message.endswith("?") and not others else "."
    return InvalidConfig(f"{where}: {message}{others}{end}", f"Correct it in {file}.")
