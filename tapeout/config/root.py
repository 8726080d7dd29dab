"""The whole configuration: all sections. ``tapeout.config.load`` reads and checks it before any rule runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from tapeout import plugins
from tapeout.config.base import BaseExtended
from tapeout.config.base_options import BaseOptions
from tapeout.config.bases import tiny
from tapeout.config.comparison import Bounds
from tapeout.config.container import Container
from tapeout.config.corpus import Corpus
from tapeout.config.dapt import Dapt
from tapeout.config.evaluation import Evaluation, TaskRun, with_available
from tapeout.config.export import Deploy, Export, ServeCheck
from tapeout.config.inspection import DataReport
from tapeout.config.instructions import FORMATS, EncodeJob, FormatOptions, Instructions, InstructionSetJob
from tapeout.config.methods import Methods
from tapeout.config.passages import QuestionsJob
from tapeout.config.pretraining import Pretraining
from tapeout.config.problems import InvalidConfig
from tapeout.config.recall import RecallJob
from tapeout.config.report import Report
from tapeout.config.retrieval import Retrieval
from tapeout.config.section import Section
from tapeout.config.sft import Sft
from tapeout.config.sources import KINDS, Digests, Sources
from tapeout.config.sweep import Sweep
from tapeout.config.tokenizer import Tokenizer
from tapeout.config.training import Training


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
    base: BaseOptions = Field(tiny.Base(), description="Model that the adaptation starts from, by its kind.")
    base_extended: BaseExtended = BaseExtended()
    dapt: Dapt = Dapt()
    sft: Sft = Sft()
    methods: Methods = Field(
        {}, description="Parameters of further training methods, by module name; see docs/extending.md."
    )
    export: Export = Export()
    serve_check: ServeCheck = ServeCheck()
    deploy: Deploy = Deploy()
    evaluation: Evaluation = Evaluation()
    report: Report = Report()
    retrieval: Retrieval | None = Field(
        None, description="Retrieval of passages of the corpora; null for none. See docs/retrieval.md."
    )
    container: Container = Container()
    comparison: Bounds = Bounds()
    sweep: Sweep = Sweep()

    @model_validator(mode="before")
    @classmethod
    def _evaluate_what_there_is(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and isinstance(given.get("sources"), Mapping):
            evaluation = given.get("evaluation", {})
            if isinstance(evaluation, Mapping):
                return {**given, "evaluation": with_available(evaluation, given["sources"])}
        return given

    @property
    def further_rules(self) -> list[str]:
        """Names of the rule files that not every graph has: those of methods are named as the methods are."""
        methods = [name for name in self.methods if "." not in name]
        return [
            *(["pretraining"] if self.pretraining.components else []),
            *methods,
            *(["merged"] if self.adapter_methods else []),
            *(["export_adapter"] if self.exported_adapter else []),
            *(["retrieval"] if self.retrieval else []),
            *(["embedder"] if self.embedder_source else []),
            *(["sweep"] if self.sweep.axes else []),
        ]

    @property
    def adapter_methods(self) -> list[str]:
        """Names of the methods that train an adapter, ``<name>/adapter``, by which their rules name it."""
        return [name.rpartition(".")[2] for name, job in self.methods.items() if job.ADAPTER]

    @property
    def used_sources(self) -> list[str]:
        """Names of the sources that the graph reads, sorted; the sources file may list more."""
        corpora = {*self.corpus.domain.sources, *self.corpus.general.sources}
        instructions = {name for options in self.set_options.values() for name in options.sources}
        methods = {name for job in self.methods.values() for name in job.read_sources}
        models = *self.model_sources, *self.embedder_source
        tests = {name for run in self.evaluations.values() for name in run.sources}
        tests.update(self.evaluation.used_problems)
        return sorted({*corpora, *self.pretraining.sources, *instructions, *methods, *models, *tests})

    @property
    def exported_adapter(self) -> str | None:
        """Artifact of the adapter whose merged model is exported; None if another model is."""
        method, _, what = self.export.model.partition("/")
        return f"{method}/adapter" if what == "merged" and method in self.adapter_methods else None

    @property
    def exported_trainings(self) -> dict[str, Training]:
        """Trainings that make the exported model from the base model, by the name of their rule, in order.

        Adapters are trained on the base model; the other methods continue the fine-tuned one.
        """
        methods = {name.rpartition(".")[2]: job for name, job in self.methods.items()}
        name = self.export.model.split("/")[0]
        if name in self.adapter_methods:
            return {name: methods[name]}
        whole: dict[str, Training] = {"dapt": self.dapt, "sft": self.sft}
        if name in methods:
            return {**whole, name: methods[name]}
        return {} if name not in whole else dict(list(whole.items())[: list(whole).index(name) + 1])

    @property
    def trained_sources(self) -> list[str]:
        """Names of the sources whose text this project trains the exported model on, sorted.

        They include that of a base model that is made here.
        """
        trainings, reads_corpora = self.exported_trainings, self.dapt.reads == "corpus"
        names: set[str] = set()
        if "dapt" in trainings:
            names.update(self.corpus.domain.train if reads_corpora else self.pretraining.sources)
        if ("dapt" in trainings and reads_corpora) or not self.base.sources:
            names.update(self.corpus.general.sources)
        for job in trainings.values():
            names.update(job.read_sources)
        for name in self.instructions.train if trainings.keys() != {"dapt"} else ():
            options = self.set_options[name]
            names.update(set(options.sources) - set(options.held_out))
        return sorted(names)

    @property
    def model_sources(self) -> tuple[str, ...]:
        """Names of the sources of the base model, or, if it is made here, of its vocabulary."""
        return self.base.sources or (self.tokenizer.source,)

    @property
    def embedder_source(self) -> tuple[str, ...]:
        """Name of the source of the embedding model, if there is one."""
        return (self.retrieval.embedder.source,) if self.retrieval and self.retrieval.embedder else ()

    @property
    def retrieval_questions(self) -> QuestionsJob:
        """Parameters of the rule ``retrieval_questions``."""
        assert self.retrieval is not None, "the rule exists only with the section"
        options = self.set_options[self.retrieval.questions]
        return QuestionsJob(separator=dict(options)["separator"], held_out=tuple(options.held_out))

    @property
    def retrieval_recall(self) -> RecallJob:
        """Parameters of the rule ``retrieval_recall``; the intervals have the settings of the section ``report``."""
        assert self.retrieval is not None, "the rule exists only with the section"
        return RecallJob.of(self.retrieval, self.report)

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
        prompt = self.instructions.prompt
        path = None if prompt.for_questions else prompt.chat_template
        return EncodeJob(
            prompt=prompt if path is None else prompt.model_copy(update={"chat_template": ""}),
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

    @property
    def compared_model(self) -> str:
        """Name of the evaluated model by which the variants of a sweep are compared."""
        models = self.evaluation.models
        exported = [name for name, artifact in models.items() if artifact == self.export.model]
        return self.sweep.model or [*models, *exported][-1]

    @property
    def default_systems(self) -> tuple[str, ...]:
        """System messages that the formats of the trained sets add to conversations without one, sorted."""
        options = [self.instructions.sets[name] for name in self.instructions.train]
        return tuple(sorted({option.system for option in options if hasattr(option, "system")}))

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


def text_of(path: str) -> str:
    """Return the text of a file that the configuration names, with its line ends and without a byte-order mark.

    Raises:
        InvalidConfig: the file cannot be read.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidConfig(f"The file {path} cannot be read: {reason}.", "Correct its path, or the file.") from error
