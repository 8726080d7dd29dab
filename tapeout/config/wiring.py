"""Inputs and environments of rules that depend on the configuration."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tapeout import plugins
from tapeout.config.bases.tiny import Base as TinyBase
from tapeout.config.corpus import Selection
from tapeout.config.evaluation import NEMO, EvaluateJob, JudgeJob, SamplesJob
from tapeout.config.export import ANSWERS, CardFacts, Stage
from tapeout.config.inspection import ContaminationJob, OverlapSettings
from tapeout.config.instructions import InstructionSetJob
from tapeout.config.pretraining import DocumentsJob
from tapeout.config.root import Settings
from tapeout.config.rtl_problems import CheckedJob, ProblemsJob
from tapeout.config.training import Training


@dataclass(frozen=True)
class Wiring:
    """Parts of rules that the configuration decides, as one object that does not depend on the order of includes.

    Attributes:
        settings: the whole configuration.
        artifact: ``Layer.artifact``, which returns an input for an artifact's name and a path in it.
    """

    settings: Settings
    artifact: Callable[..., Any]

    @property
    def after_probe(self) -> dict[str, Any]:
        """Input of every step that runs in the NeMo image: the probe must have seen the expected versions first.

        Without an image there is none, because the hashes of the lock file guarantee the versions.
        """
        return {"after_probe": self.artifact("probe.json")} if self.settings.container.image else {}

    @property
    def after_gates(self) -> dict[str, Any]:
        """Input of every training: none starts before the data is within its bounds."""
        return {"after_gates": self.artifact("gates.json")}

    @property
    def base_vocabulary(self) -> Any:
        """Input with the vocabulary that is extended: the base model's own, or that of a source."""
        settings = self.settings
        return self.artifact("base" if settings.base.sources else f"sources/{settings.tokenizer.source}")

    @property
    def base_licences(self) -> dict[str, Any]:
        """Input of an export: the base model with its licence files, if it comes from a source."""
        return {"base": self.artifact("base")} if self.settings.base.sources else {}

    @property
    def chat_template(self) -> dict[str, Any]:
        """Input of a step that renders rows: the base model, if its own chat template renders them."""
        return {"template": self.artifact("base")} if self.settings.instructions.prompt.for_questions else {}

    @property
    def attributions(self) -> dict[str, Any]:
        """Origin and licence of the base vocabulary and, if it comes from a source, of the base model."""
        settings = self.settings
        (source, *_) = settings.model_sources
        attribution = settings.sources[source].attribution
        return {"tokenizer": attribution, "base": attribution if settings.base.sources else None}

    @property
    def card(self) -> dict[str, Any]:
        """Parameter of the rule ``export_hf``: facts for the model card."""
        settings = self.settings
        records = [settings.sources[name] for name in settings.base.sources]
        repositories = [str(record.identity()["repository"]) for record in records if record.kind == "hf_model"]
        return CardFacts(
            licence=settings.export.licence,
            base_model=next(iter(repositories), None),
            new_pieces=settings.tokenizer.new_pieces,
            model=settings.export.model,
            pretraining=self._pretraining,
            stages={name: _stage(job) for name, job in settings.exported_trainings.items()},
        ).identity()

    @property
    def _pretraining(self) -> Stage | None:
        base = self.settings.base
        if not isinstance(base, TinyBase):
            return None
        sizes = {"max_steps": base.max_steps, "global_batch_size": base.global_batch_size}
        return Stage(**sizes, seq_length=base.architecture.seq_length)

    @property
    def gguf_modules(self) -> list[str]:
        """Modules that a step which writes a GGUF file loads: the family, and its layout in a GGUF file if it has one.

        Without one the step ends with a named error.
        """
        family = self.settings.base.family_module
        layout = plugins.ROOT.joinpath(*family.split("."), "gguf.py")
        return [family, *([f"{family}.gguf"] if layout.is_file() else [])]

    @property
    def pretraining_text(self) -> dict[str, Any]:
        """Input of the continued pretraining: the two corpora, or the blend and the token ids of all shards."""
        if self.settings.dapt.reads == "corpus":
            return {name: self.artifact(f"corpus/{name}", "train.jsonl") for name in ("domain", "general")}
        names = self.settings.pretraining.shard_names
        return {
            "blend": self.artifact("pretraining/blend.json"),
            "shards": lambda wildcards: [self.artifact(f"pretraining/tokens/{name}") for name in names],
        }

    @property
    def licensed_text(self) -> dict[str, Any]:
        """Inputs of an export: training text besides instruction rows, because documents may state their own licences.

        For a sharded corpus these are the reports of its sources: reading all of its text again would take long.
        """
        settings = self.settings
        reads_corpora = settings.dapt.reads == "corpus"
        names = [
            *(["domain"] if reads_corpora else []),
            *(["general"] if reads_corpora or not settings.base.sources else []),
        ]
        sharded = [] if reads_corpora else settings.pretraining.sources
        return {
            "corpora": lambda wildcards: [self.artifact(f"corpus/{name}", "train.jsonl") for name in names],
            "documents": lambda wildcards: [
                self.artifact(f"pretraining/documents/{name}", "report.json") for name in sharded
            ],
        }

    @property
    def instruction_sets(self) -> str:
        """Pattern of the names of all instruction data sets."""
        return "|".join(map(re.escape, self.settings.instructions.sets))

    @property
    def adapter_methods(self) -> str:
        """Pattern of the names of all methods that train an adapter."""
        return "|".join(map(re.escape, self.settings.adapter_methods))

    @property
    def instruction_set_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``instructions``, as functions of its wildcards."""
        return InstructionSetJob.parameters(lambda wildcards: self.settings.instruction_set(wildcards.name))

    @property
    def near_duplicates(self) -> dict[str, Any]:
        """Input of the tokenization of a shard: which of its documents are dropped, unless near duplicates stay."""
        kept = self.settings.pretraining.near_duplicates is None
        return {} if kept else {"near": self.artifact("pretraining/near", "{shard}.jsonl")}

    @property
    def documents_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``pretraining_documents``, as functions of its wildcards."""
        pretraining, sources = self.settings.pretraining, self.settings.sources
        return DocumentsJob.parameters(
            lambda wildcards: pretraining.documents_job(wildcards.source, sources[wildcards.source].licence)
        )

    @property
    def problem_sets(self) -> str:
        """Pattern of the names of all problem sets."""
        return pattern_of(self.settings.evaluation.problems)

    @property
    def problems_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``problems``, as functions of its wildcards."""
        sets = self.settings.evaluation.problems
        job = ProblemsJob.parameters(lambda wildcards: sets[wildcards.problems].problems_job)
        return {**job, "plugins": lambda wildcards: [sets[wildcards.problems].module]}

    @property
    def checked_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``checked``, as functions of its wildcards."""
        sets, permitted = self.settings.evaluation.problems, self.settings.evaluation.permit_no_isolation
        return CheckedJob.parameters(lambda wildcards: sets[wildcards.problems].checked_job(permitted))

    @property
    def sampled_tasks(self) -> str:
        """Pattern of the names of all tasks in two steps."""
        return pattern_of(name for name, run in self.settings.evaluations.items() if run.is_sampled)

    def scored_tasks(self, apart: bool) -> str:
        """Return a pattern of the names of tasks in one step: those with an environment of their own, or the others."""
        runs = {name: run for name, run in self.settings.evaluations.items() if not run.is_sampled}
        return pattern_of(name for name, run in runs.items() if (run.environment != NEMO) == apart)

    def scoring_environment(self, wildcards: Any) -> str:
        """Return the conda environment of a task in one step, relative to the folder of the rules."""
        return f"../envs/{self.settings.evaluations[wildcards.task].environment}.yaml"

    @property
    def judge_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``judge``, as functions of its wildcards."""
        runs = self.settings.evaluations
        job = JudgeJob.parameters(lambda wildcards: runs[wildcards.task].judge_job)
        return {**job, "plugins": lambda wildcards: [runs[wildcards.task].module]}

    @property
    def evaluate_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``evaluate``, as functions of its wildcards."""
        settings, runs, encoding = self.settings, self.settings.evaluations, self.settings.encoding()
        computation, family = settings.evaluation.computation, settings.base.family_module
        job = EvaluateJob.parameters(lambda wildcards: runs[wildcards.task].job(computation, encoding))
        return {**job, "plugins": lambda wildcards: [family, runs[wildcards.task].module]}

    @property
    def samples_parameters(self) -> dict[str, Callable[[Any], Any]]:
        """Parameters of the rule ``samples``, as functions of its wildcards."""
        settings, runs, encoding = self.settings, self.settings.evaluations, self.settings.encoding()
        computation, family = settings.evaluation.computation, settings.base.family_module
        job = SamplesJob.parameters(lambda wildcards: runs[wildcards.task].samples_job(computation, encoding))
        return {**job, "plugins": lambda wildcards: [family, runs[wildcards.task].sampler]}

    @property
    def trained_text(self) -> list[tuple[str, str]]:
        """Artifact and path of the text that is searched for test data: corpora or shards, and instruction rows."""
        settings = self.settings
        reads_corpora = settings.dapt.reads == "corpus"
        general = reads_corpora or not settings.base.sources
        corpora = [*(["domain"] if reads_corpora else []), *(["general"] if general else [])]
        shards = [] if reads_corpora else settings.pretraining.shard_names
        return [
            *((f"corpus/{name}", "train.jsonl") for name in corpora),
            *((f"pretraining/shards/{name}", "documents.jsonl") for name in shards),
            *((f"instructions/{name}", "train.jsonl") for name in sorted(settings.instructions.train)),
        ]

    @property
    def unsearched_sources(self) -> list[str]:
        """Sources that only evaluated methods read, such as preference pairs: their text is not searched."""
        settings = self.settings
        trained = {artifact.split("/")[0] for artifact in settings.evaluation.models.values()}
        if "export" in trained:
            trained.update(settings.exported_trainings)
        read = [job.read_sources for name, job in settings.methods.items() if name.rpartition(".")[2] in trained]
        return sorted({source for sources in read for source in sources})

    @property
    def contamination_parameters(self) -> dict[str, Any]:
        """Parameters of the rule ``contamination``."""
        overlap = self.settings.data_report.model_dump(include=set(OverlapSettings.model_fields))
        training, runs = tuple(name for name, _ in self.trained_text), self.settings.evaluations

        def job(wildcards: Any) -> ContaminationJob:
            run = runs[wildcards.task]
            return ContaminationJob(**overlap, training=training, task=run.task, options=run.options.identity())

        return {
            **ContaminationJob.parameters(job),
            "plugins": lambda wildcards: [runs[wildcards.task].module],
        }

    @property
    def exported(self) -> str:
        """Artifact of the model that the rule ``export_hf`` exports."""
        return self.settings.export.model

    @property
    def exported_adapter(self) -> str:
        """Artifact of the adapter that the rule ``export_adapter`` exports; the rule exists if there is one."""
        return self.settings.exported_adapter or ""

    @property
    def exported_adapter_folder(self) -> dict[str, Any]:
        """Input of files for servers: the exported adapter, if the exported model is a merged one."""
        return {"adapter": self.artifact("export/adapter")} if self.settings.exported_adapter else {}

    @property
    def exported_answers(self) -> dict[str, Any]:
        """Inputs of checks of the exported model: test rows, and the answers that it gave in the evaluation."""
        settings = self.settings
        names = [name for name, artifact in settings.evaluation.models.items() if artifact == self.exported][:1]
        runs = {name: run for name, run in settings.evaluations.items() if run.task == ANSWERS}
        answers = [f"evaluation/{model}/{name}.json" for model in names for name in runs]
        questions = [file for _ in names for run in runs.values() for file in run.files.values()]
        return {
            "questions": lambda wildcards: [self.artifact(*file) for file in questions],
            "answers": lambda wildcards: [self.artifact(name) for name in answers],
        }

    @property
    def prompts(self) -> dict[str, Any]:
        """Parameters of rules that render the prompts of the training for the exported model."""
        settings = self.settings
        return {"encoding": settings.encoding().identity(), "systems": settings.default_systems}

    @property
    def max_new_tokens(self) -> int:
        """Maximum length of the answers in the evaluation."""
        runs = [run for run in self.settings.evaluations.values() if run.task == ANSWERS]
        return int(runs[0].options.identity()["max_new_tokens"]) if runs else 1

    @property
    def serving_environment(self) -> str:
        """Return the conda environment of the server that is tried, relative to the folder of the rules."""
        return {"transformers": "../envs/serve.yaml", "vllm": "../envs/vllm.yaml"}[self.settings.serve_check.server]

    def training_environment(self, job: Training) -> str:
        """Return the conda environment of a training run by its accelerator, relative to the folder of the rules."""
        return {"cpu": "../envs/nemo.yaml", "gpu": "../envs/nemo-cuda.yaml"}[job.layout.accelerator]

    @property
    def evaluation_environment(self) -> str:
        """Return the conda environment of a step that runs an evaluated model, relative to the folder of the rules."""
        return "../envs/nemo.yaml" if self.settings.evaluation.gpu_model is None else "../envs/nemo-cuda.yaml"

    def reading_environment(self, selection: Selection) -> str:
        """Return the environment of a step that reads sources: with Arrow if a pattern selects parquet or zstd."""
        arrow = any(pattern.endswith((".parquet", ".zst")) for pattern in selection.include)
        return "../envs/corpus.yaml" if arrow else "../envs/data.yaml"


def pattern_of(names: Iterable[str]) -> str:
    """Return a regular expression of names; without a name one that nothing matches."""
    return "|".join(map(re.escape, names)) or "(?!)"


def _stage(training: Training) -> Stage:
    return Stage(
        max_steps=training.max_steps,
        global_batch_size=training.global_batch_size,
        seq_length=training.seq_length,
    )
