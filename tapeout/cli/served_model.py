"""Models for ``tapeout serve`` and ``tapeout chat``: their folders and prompts, and the program that reads them."""

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from tapeout.cli.options import InvalidUse
from tapeout.cli.project import Project, load
from tapeout.combinations import combination_of, scoped, unscoped
from tapeout.config.export import PromptsJob
from tapeout.config.serving import VARIABLE, ChatJob, ServedModel, ServeJob
from tapeout.graph.address import DIGEST_PREFIX, EARLIER, LocatedArtifact, locate
from tapeout.graph.files import report_disk_errors
from tapeout.graph.identity.action import ORDERING_PREFIX, Recipe, Reference
from tapeout.graph.identity.environment import read_environment
from tapeout.graph.workspace import Workspace

ENVIRONMENT, PROGRAM = "serve", "tapeout.serve"
ROOT = Path(__file__).parents[2]
EXPORT = "export/hf"
"""Artifact whose step states the prompts of the training."""
ENCODED, ADAPTED = "encoded/", "base_extended"
"""Inputs of trainings with instruction rows, and of those that make adapters."""
HUGGINGFACE, ADAPTER, CHECKPOINT = "config.json", "adapter_config.json", "context/io.json"
INDEX = "index.json"
TEMPLATES = ("chat_template.jinja", "tokenizer_config.json")
OFFLINE = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables with which the libraries neither ask the network nor start threads for each prompt."""


class ModelFinder:
    """Finds models by their names, and reads the workflow if a name or a model's prompts need it.

    As a context, it deletes its links if an error ends it; otherwise the started program does, or ``clean``.

    Attributes:
        scratch: folder of links to files of the store; None as long as no model needs it.
    """

    def __init__(self, configfile: Sequence[Path] | None) -> None:
        self.configfile = configfile
        self.scratch: Path | None = None
        self.workspace = Workspace.here()
        self._project: Project | None = None

    @property
    def project(self) -> Project:
        """The workflow of the current folder."""
        if self._project is None:
            self._project = load(self.configfile)
        return self._project

    def find(self, name: str) -> ServedModel:
        """Return a model and how its prompts are built.

        Raises:
            UnknownName: there is no such artifact, or it is not built.
            InvalidUse: it is not a model's folder.
        """
        artifact = self._locate(name)
        folder = self._folder(artifact)
        if (folder / HUGGINGFACE).is_file():
            if has_template(folder):
                return ServedModel(name=name, folder=str(folder))
            return self._with_prompts(name, artifact, folder)
        if (folder / CHECKPOINT).is_file():
            return self._with_prompts(name, artifact, folder)
        if (folder / ADAPTER).is_file():
            if artifact.manifest.artifact not in self.project.recipes:
                raise InvalidUse(f"{name} is an adapter, and its model is not known.", "Name it as an artifact.")
            base = scoped(combination_of(artifact.manifest.artifact), ADAPTED)
            whole = self._folder(self._locate(self.project.layer.canonical(base)))
            return self._with_prompts(name, artifact, folder, str(whole))
        raise InvalidUse(
            f"{name} is not a model that can be served.",
            "Name a folder of Hugging Face, a NeMo-2 checkpoint or an adapter, such as export/hf, sft or base.",
        )

    def find_index(self, name: str) -> str:
        """Return the folder of an index of passages.

        Raises:
            UnknownName: there is no such artifact, or it is not built.
            InvalidUse: it is not an index.
        """
        folder = self._folder(self._locate(name))
        if not (folder / INDEX).is_file():
            raise InvalidUse(
                f"{name} is not an index of passages.", "Name an artifact such as retrieval/index/bm25 (retrieval.md)."
            )
        return str(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.clean()

    def clean(self) -> None:
        """Delete the links."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch)

    def _locate(self, name: str) -> LocatedArtifact:
        if name.startswith(("./", "../", "/")):
            return locate(self.workspace, name)
        if "@" in name or EARLIER.fullmatch(name) or DIGEST_PREFIX.fullmatch(name):
            return locate(self.workspace, name, self.project.rules)
        return locate(self.workspace, self.project.resolve(name).artifact, self.project.rules)

    def _folder(self, artifact: LocatedArtifact) -> Path:
        """Return the folder of an artifact; a file is named as one, because no model is a single file."""
        if artifact.root is None and self.scratch is None:
            self.workspace.work.mkdir(parents=True, exist_ok=True)
            self.scratch = Path(tempfile.mkdtemp(prefix="tapeout-serve-", dir=self.workspace.work)).absolute()
        folder = artifact.folder(self.scratch / str(len(list(self.scratch.iterdir()))) if self.scratch else Path())
        return folder.absolute()

    def _with_prompts(self, name: str, artifact: LocatedArtifact, folder: Path, base: str | None = None) -> ServedModel:
        """Return a model that gets the prompts that an export would have."""
        made = artifact.manifest.artifact
        export = self._recipe(scoped(combination_of(made), EXPORT))
        prompts = PromptsJob(encoding=export.params["encoding"], systems=export.params["systems"])
        sets = [self._built(one) for one in _artifacts(export, "rows")] if self._is_tuned(made) else []
        template = self._built("base") if prompts.encoding.prompt.for_questions else None
        return ServedModel(
            name=name, folder=str(folder), base=base, prompts=prompts, template=template, sets=tuple(sets)
        )

    def _recipe(self, name: str) -> Recipe:
        name = self.project.layer.canonical(name)
        self.project.recipes.update(self.project.layer.recipes([name]))
        return self.project.recipes[name]

    def _built(self, name: str) -> str:
        return str(self._folder(self._locate(name)))

    def _is_tuned(self, name: str) -> bool:
        """Return whether an artifact or one of its inputs was trained on instruction rows."""
        recipes, waiting, known = self.project.recipes, [name], set()
        while waiting:
            name = waiting.pop()
            if unscoped(name).startswith(ENCODED):
                return True
            if name in recipes and name not in known:
                known.add(name)
                inputs = [key for key in recipes[name].inputs if not key.startswith(ORDERING_PREFIX)]
                waiting += [one for key in inputs for one in _artifacts(recipes[name], key)]
        return False


def has_template(folder: Path) -> bool:
    """Return whether a Hugging Face folder has a tokenizer with a chat template."""
    if not (folder / "tokenizer.json").is_file():
        return False
    file, settings = (folder / name for name in TEMPLATES)
    if file.is_file():
        return True
    try:
        return bool(json.loads(settings.read_bytes()).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False


def _artifacts(recipe: Recipe, key: str) -> list[str]:
    value = recipe.inputs[key]
    return [one.artifact for one in ([value] if isinstance(value, Reference) else value)]


def require_environment() -> None:
    """Check that the program's environment is installed.

    Raises:
        InvalidEnvironment: it is not.
    """
    read_environment(ENVIRONMENT).require()


def execute(job: ServeJob | ChatJob) -> NoReturn:
    """Replace this process by the program, so that signals and the terminal reach it directly.

    The program gets its request in an open file without a name. Ctrl-C is held back until it can end quietly.
    """
    with report_disk_errors(), open(os.memfd_create("tapeout-serve"), "w+b", buffering=0) as file:
        file.write(job.model_dump_json().encode())
        file.seek(0)
        os.set_inheritable(file.fileno(), True)
        variables = {**os.environ, **OFFLINE, "PYTHONPATH": str(ROOT), VARIABLE: str(file.fileno())}
        python = str(read_environment(ENVIRONMENT).python)
        sys.stdout.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.execve(python, [python, "-P", "-m", PROGRAM], variables)


def threads() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))
