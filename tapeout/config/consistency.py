"""Checks across sections: values that are valid by themselves and contradict each other."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tapeout import plugins
from tapeout.config.inspection_scope import InspectionScope
from tapeout.config.instructions import MODELS_OWN
from tapeout.config.messages import dotted
from tapeout.config.methods import SEAM as METHODS
from tapeout.config.problems import Location
from tapeout.config.root import Settings
from tapeout.config.task_options import QuestionOptions
from tapeout.config.training import Training
from tapeout.errors import TapeoutError, did_you_mean

CONTEXT = ("base", "architecture", "seq_length")
PARALLEL = ("num_attention_heads", "num_query_groups", "ffn_hidden_size")
"""Dimensions of an architecture, by Megatron's names, that tensor parallelism divides."""
NOT_TRAINED = ("base", "base_extended", "export", "nemo", "sources")
"""First names of artifacts that may be models, but not models that the configuration trains."""


@dataclass(frozen=True)
class Conflict:
    """Values that contradict each other.

    Attributes:
        cause: what is wrong, a sentence.
        fix: what to change, a sentence.
        keys: locations of the values, the one to change first.
    """

    cause: str
    fix: str
    keys: tuple[Location, ...]


def conflicts(settings: Settings) -> Iterator[Conflict]:
    """Yield everything in a configuration that contradicts something else in it.

    A file that a section names and that cannot be read hides the other conflicts, which depend on its content.
    """
    if unreadable := list(_files_can_be_read(settings)):
        yield from unreadable
        return
    for check in CHECKS:
        yield from check(settings)


def trainings(settings: Settings) -> dict[Location, Training]:
    """Return the parameters of each training method, by the location of its section."""
    further: dict[Location, Training] = {("methods", name): job for name, job in settings.methods.items()}
    return {("dapt",): settings.dapt, ("sft",): settings.sft, **further}


def _named_sources(settings: Settings) -> Iterator[tuple[Location, str, bool]]:
    """Yield key and name of each use of a source, and whether models are trained on it."""
    domain = settings.corpus.domain
    for key, names, trained in (
        (("corpus", "domain", "train"), domain.train, True),
        (("corpus", "domain", "test"), domain.test, False),
        (("corpus", "general", "names"), settings.corpus.general.names, True),
        (("base", "source") if settings.base.sources else ("tokenizer", "source"), settings.model_sources, True),
        *(
            (("pretraining", "components", name, "sources"), component.sources, True)
            for name, component in settings.pretraining.components.items()
        ),
        (("retrieval", "embedder", "source"), settings.embedder_source, False),
        *((("methods", name, "sources"), job.read_sources, True) for name, job in settings.methods.items()),
        *((("evaluation", "tasks", run.task), run.sources, False) for run in settings.evaluations.values()),
        (("evaluation", "problems"), settings.evaluation.used_problems, False),
    ):
        yield from ((key, name, trained) for name in names)
    for name, options in settings.instructions.sets.items():
        resolved, key = options.resolved(name, settings.corpus), ("instructions", "sets", name)
        if resolved.sources != domain.sources:
            yield from ((key, source, source not in resolved.held_out) for source in resolved.sources)


def _files_can_be_read(settings: Settings) -> Iterator[Conflict]:
    sets, corpus = settings.instructions.sets, settings.corpus
    actions: dict[Location, Callable[[], Any]] = {
        ("instructions", "sets", name): partial(options.resolved, name, corpus) for name, options in sets.items()
    }
    actions["instructions", "prompt", "chat_template"] = settings.encoding
    for key, action in actions.items():
        try:
            action()
        except TapeoutError as error:
            yield Conflict(error.cause, error.fix, (key,))


def _sources_exist(settings: Settings) -> Iterator[Conflict]:
    held_out = set(settings.corpus.domain.test)
    for key, name, trained in _named_sources(settings):
        named = dotted(key)
        if name not in settings.sources:
            cause = f"{named} names the source {name}, which no sources file has{did_you_mean(name, settings.sources)}"
            yield Conflict(cause, "Correct the name, or add the source to a sources file.", (key, ("sources", name)))
        elif trained and name in held_out and key[:2] != ("corpus", "domain"):
            cause = f"{named} names {name}, which is held out as a test core."
            yield Conflict(cause, "Remove it here, or from corpus.domain.test.", (key, ("corpus", "domain", "test")))


def _no_source_twice(settings: Settings) -> Iterator[Conflict]:
    read_by: dict[tuple[str, str], str] = {}
    for name in settings.instructions.train:
        options = settings.instructions.sets[name].resolved(name, settings.corpus)
        for source in options.sources:
            other = read_by.setdefault((source, options.files), name)
            if other != name:  # sets are split independently: what one trains on, the other would validate on
                yield Conflict(
                    f"the sets {other} and {name} of instructions.train both read the source {source}.",
                    "Train on one of them, or put the rows into one set.",
                    (("instructions", "train"), *(("instructions", "sets", each) for each in (other, name))),
                )
    domain, general = settings.corpus.domain, settings.corpus.general
    for name in sorted(set(domain.train) & set(general.names)):
        keys = ("corpus", "general", "names"), ("corpus", "domain", "train")
        yield Conflict(f"the source {name} is in both corpora.", "Remove it from one of them.", keys)
    content = {name: settings.sources[name].content for name in settings.used_sources if name in settings.sources}
    held_out = {content[name]: name for name in domain.test if content.get(name)}
    for name, digest in content.items():
        if (other := held_out.get(digest, name)) != name:
            yield Conflict(
                f"the source {name} is the same file as {other}, which is held out.",
                f"Remove {name} from the training data.",
                (("sources", name), ("corpus", "domain", "test")),
            )


def _pretraining_has_components(settings: Settings) -> Iterator[Conflict]:
    if settings.dapt.reads == "pretraining" and not settings.pretraining.components:
        yield Conflict(
            "dapt.reads is pretraining, but pretraining.components is empty.",
            "Add a component (docs/data.md), or remove dapt.reads.",
            (("dapt", "reads"), ("pretraining", "components")),
        )


def _methods_have_no_section(settings: Settings) -> Iterator[Conflict]:
    sections = {plugins.module_name(METHODS, name): name for name in type(settings).model_fields}
    for name in settings.methods:
        if section := sections.get(plugins.module_name(METHODS, name)):
            cause = f"methods.{name} would have no effect: its parameters are the section {section}."
            yield Conflict(cause, f"Move its keys to {section}.", (("methods", name),))
        elif name.startswith(f"{METHODS}."):
            short = name.removeprefix(f"{METHODS}.")
            cause = f"methods.{name} would have no effect: a method of the package is named by its last part."
            yield Conflict(cause, f"Write methods.{short}.", (("methods", name),))


def _benchmarks_are_no_training(settings: Settings) -> Iterator[Conflict]:
    key, sets = ("data_report", "benchmarks"), settings.instructions.sets
    for name in settings.data_report.benchmarks:
        if name not in sets:
            cause = f"data_report.benchmarks names {name}, which instructions.sets does not have"
            keys = (key, ("instructions", "sets", name))
            yield Conflict(f"{cause}{did_you_mean(name, sets)}", "Correct the name, or add the set.", keys)
        if name in settings.instructions.train:
            cause = f"data_report.benchmarks names {name}, which instructions.train trains on."
            yield Conflict(cause, "Remove it from one of the two.", (key, ("instructions", "train")))


def _vocabulary_is_the_models_own(settings: Settings) -> Iterator[Conflict]:
    if not settings.base.sources:
        return
    tokenizer, kind = settings.tokenizer, ("base", "kind")
    if "source" in tokenizer.model_fields_set:
        cause = f"tokenizer.source would have no effect: the base model of kind {settings.base.kind} has its own."
        yield Conflict(cause, "Remove tokenizer.source.", (("tokenizer", "source"), kind))
    if tokenizer.model_file != tokenizer.file_name:
        yield Conflict(
            f"tokenizer.model_file is {tokenizer.model_file}, which is no name of the vocabulary of a base model of "
            f"kind {settings.base.kind}.",
            "Write tokenizer.model for a SentencePiece model, or tokenizer.json for a byte-level BPE.",
            (("tokenizer", "model_file"), kind),
        )


def _base_has_a_chat_template(settings: Settings) -> Iterator[Conflict]:
    key = ("instructions", "prompt", "chat_template")
    if not settings.instructions.prompt.for_questions:
        return
    if not settings.base.sources:
        yield Conflict(
            f"instructions.prompt.chat_template is {MODELS_OWN}, but base.kind {settings.base.kind} has none.",
            "Name a file with a template, or start from a model that has one.",
            (key, ("base", "kind")),
        )
    if "template" in settings.sft.model_fields_set:
        cause = "sft.template would have no effect: the model's own chat template renders questions too."
        yield Conflict(cause, "Remove sft.template, or name another template.", (("sft", "template"), key))
    for name, job in settings.methods.items():
        if job.TEMPLATED:
            cause = (
                f"methods.{name} encodes questions with sft.template, but the model's own chat template renders them"
            )
            yield Conflict(f"{cause}.", f"Remove methods.{name}, or name another template.", (("methods", name), key))


def _sequences_fit_the_model(settings: Settings) -> Iterator[Conflict]:
    context = settings.base.architecture.seq_length
    longer = "" if settings.base.sources else ", or raise base.architecture.seq_length"
    lengths = {(*key, "seq_length"): job.seq_length for key, job in trainings(settings).items()}
    lengths["export", "parity_tokens"] = settings.export.parity_tokens
    for key, length in lengths.items():
        if length > context:
            yield Conflict(
                f"{dotted(key)} is {length}, more than the model's context, base.architecture.seq_length {context}.",
                f"Lower it to at most {context}{longer}.",
                (key, CONTEXT),
            )
    for training, job in trainings(settings).items():
        parts, option = 2 * job.layout.context_parallel_size, (*training, "layout", "context_parallel_size")
        if parts > 2 and context % parts:
            yield Conflict(
                f"{dotted(option)} is {parts // 2}, and twice that does not divide the model's context, "
                f"base.architecture.seq_length, {context}, as NeMo requires.",
                "Choose another number of processes that share a sequence.",
                (option, CONTEXT),
            )
    for name, options in settings.evaluation.tasks.items():
        new_tokens = getattr(options, "max_new_tokens", 0)
        if new_tokens >= context:
            yield Conflict(
                f"evaluation.tasks.{name}.max_new_tokens is {new_tokens}, which leaves no token for a question in the "
                f"model's context, base.architecture.seq_length {context}.",
                f"Lower it to less than {context}.",
                (("evaluation", "tasks", name, "max_new_tokens"), CONTEXT),
            )


def _rows_fit_the_methods(settings: Settings) -> Iterator[Conflict]:
    for name, job in settings.methods.items():
        if job.PACKED and not job.TEMPLATED and job.seq_length < settings.sft.seq_length:
            key, rows = ("methods", name, "seq_length"), ("sft", "seq_length")
            cause = f"{dotted(key)} is {job.seq_length}, less than that of the encoded rows, sft.seq_length"
            yield Conflict(f"{cause}, {settings.sft.seq_length}.", "Raise it, or lower sft.seq_length.", (key, rows))


def _model_can_be_divided(settings: Settings) -> Iterator[Conflict]:
    architecture, multiple, pad_to = (
        settings.base.architecture,
        settings.tokenizer.multiple,
        settings.base_extended.pad_to,
    )
    padded = multiple % pad_to != 0
    for key, job in trainings(settings).items():
        divided: dict[str, dict[Location, int | None]] = {
            "tensor_model_parallel_size": {
                ("base_extended", "pad_to") if padded else ("tokenizer", "multiple"): pad_to if padded else multiple,
                **{("base", "architecture", name): getattr(architecture, name, None) for name in PARALLEL},
            },
            "pipeline_model_parallel_size": {
                ("base", "architecture", "num_layers"): getattr(architecture, "num_layers", None)
            },
        }
        for option, sizes in divided.items():
            parts, own = getattr(job.layout, option), (*key, "layout", option)
            for other, size in sizes.items():
                if size is not None and size % parts:
                    yield Conflict(
                        f"{dotted(own)} is {parts}, which does not divide {dotted(other)}, {size}.",
                        "Choose a divisor of it.",
                        (own, other),
                    )


def _something_validates(settings: Settings) -> Iterator[Conflict]:
    names = settings.instructions.train
    if not any(settings.instructions.sets[name].split.validation for name in names):
        yield Conflict(
            f"no set of instructions.train ({', '.join(names)}) has rows for validation, which fine-tuning measures.",
            "Set split.validation of one of them above 0.",
            tuple(("instructions", "sets", name, "split", "validation") for name in names),
        )


def _something_tests(settings: Settings) -> Iterator[Conflict]:
    sets, key = settings.instructions.sets, ("evaluation", "sets")
    for name in settings.evaluation.sets or ():
        if name not in sets:
            cause = f"evaluation.sets names {name}, which instructions.sets does not have{did_you_mean(name, sets)}"
            yield Conflict(cause, "Correct the name, or add the set.", (key, ("instructions", "sets", name)))
        elif not sets[name].resolved(name, settings.corpus).has_test_rows:
            yield Conflict(
                f"evaluation.sets names {name}, which has no test rows: its split.test is 0.",
                f"Set instructions.sets.{name}.split.test above 0, or remove the name.",
                (key, ("instructions", "sets", name, "split", "test")),
            )
    for task, options in settings.evaluation.tasks.items():
        if isinstance(options, QuestionOptions) and settings.evaluation.sets is None and not settings.evaluated_sets:
            yield Conflict(
                f"evaluation.tasks.{task} asks questions, and no set of instructions.train has test rows.",
                "Set split.test of one of them above 0, or name sets under evaluation.sets.",
                (("evaluation", "tasks", task), ("instructions", "train"), key),
            )


def _gates_exist(settings: Settings) -> Iterator[Conflict]:
    for key, cause, fix in InspectionScope(settings).unknown_limits():
        yield Conflict(cause, fix, (("data_report", "gates", key),))


def _retrieval_has_questions(settings: Settings) -> Iterator[Conflict]:
    if settings.retrieval is None:
        return
    name, sets, key = settings.retrieval.questions, settings.instructions.sets, ("retrieval", "questions")
    if name not in sets:
        cause = f"retrieval.questions names {name}, which instructions.sets does not have{did_you_mean(name, sets)}"
        yield Conflict(cause, "Correct the name, or add the set.", (key, ("instructions", "sets", name)))
    elif sets[name].format != "rtl" or set(settings.set_options[name].held_out) != set(settings.corpus.domain.test):
        yield Conflict(
            f"retrieval.questions names {name}, whose rows are not questions about the cores of corpus.domain.",
            "Name a set of the format rtl without cores of its own.",
            (key, ("instructions", "sets", name)),
        )


def _exported_model_is_trained(settings: Settings) -> Iterator[Conflict]:
    """Check names of the project's own stages; a model of another name is made by a rule that the user has added."""
    model, key = settings.export.model, ("export", "model")
    own = {name: job for name, job in settings.methods.items() if "." not in name}
    made = ["dapt/model", "sft/model", *(f"{name}/{'merged' if job.ADAPTER else 'model'}" for name, job in own.items())]
    stage = model.split("/")[0]
    if model in made:
        return
    names = f"ame one of: {', '.join(made)}."
    if stage in NOT_TRAINED:
        yield Conflict(f"export.model names {model}, which is not the model of a training.", f"N{names}", (key,))
    elif near := [name for name in made if name.split("/")[0] == stage]:
        yield Conflict(f"export.model names {model}; did you mean {near[0]}?", f"N{names}", (key,))
    elif stage in plugins.available(METHODS):
        cause = f"export.model names {model}, but the configuration has no section methods.{stage}."
        fix = f"Add the section methods.{stage}, see config/examples/{stage}.yaml, or n{names}"
        yield Conflict(cause, fix, (key, ("methods",)))


def _swept_model_is_evaluated(settings: Settings) -> Iterator[Conflict]:
    name, models = settings.sweep.model, settings.evaluation.models
    if name is not None and name not in models:
        cause = f"sweep.model names {name}, which is not one of evaluation.models{did_you_mean(name, models)}"
        yield Conflict(cause, f"Name one of them: {', '.join(models)}.", (("sweep", "model"), ("evaluation", "models")))


CHECKS: tuple[Callable[[Settings], Iterable[Conflict]], ...] = (
    _sources_exist,
    _no_source_twice,
    _pretraining_has_components,
    _methods_have_no_section,
    _benchmarks_are_no_training,
    _vocabulary_is_the_models_own,
    _base_has_a_chat_template,
    _sequences_fit_the_model,
    _rows_fit_the_methods,
    _model_can_be_divided,
    _something_validates,
    _something_tests,
    _gates_exist,
    _retrieval_has_questions,
    _exported_model_is_trained,
    _swept_model_is_evaluated,
)
