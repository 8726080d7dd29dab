"""Load tasks of lm-eval without the network: configurations from a folder or from lm-eval, data from sources alone."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import datasets
import huggingface_hub.constants
import lm_eval.utils
from datasets.exceptions import DatasetGenerationError
from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.utils import handle_non_serializable
from yaml import YAMLError

from tapeout.errors import did_you_mean
from tapeout.evals.harness_data import check_unsafe, local_tasks
from tapeout.evals.harness_folder import UnusableTask, check_folder

TASKS = Path(lm_eval.utils.__file__).parent / "tasks"
"""Folder of the tasks that lm-eval has."""
DATA_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, ImportError, AttributeError, AssertionError),
    *(TemplateError, YAMLError, BadZipFile, RecursionError, re.error),
)
"""Errors of lm-eval and its libraries about a configuration or its data."""


@contextmanager
def offline() -> Iterator[None]:
    """Let the libraries ask no server, read data sets without scripts, and keep their files in a temporary folder.

    Templates of tasks run in Jinja's sandbox, because they are text of a source.
    """
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True
    datasets.config.HF_DATASETS_TRUST_REMOTE_CODE = False
    datasets.disable_progress_bars()
    own, variable = lm_eval.utils.env, os.environ.get("DISABLE_MULTIPROC")
    sandbox = SandboxedEnvironment(loader=own.loader, undefined=own.undefined, keep_trailing_newline=True)
    sandbox.filters.update(own.filters)
    with TemporaryDirectory() as folder:
        cache, datasets.config.HF_DATASETS_CACHE = datasets.config.HF_DATASETS_CACHE, Path(folder)
        lm_eval.utils.env = sandbox
        os.environ["DISABLE_MULTIPROC"] = "1"  # of lm-eval's bootstrap, which would use all processors
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE, lm_eval.utils.env = cache, own
            del os.environ["DISABLE_MULTIPROC"]
            if variable is not None:
                os.environ["DISABLE_MULTIPROC"] = variable


def load_tasks(names: Iterable[str], folder: Path | None, sources: Mapping[str, Path]) -> dict[str, Any]:
    """Return lm-eval's tasks and groups, as ``TaskManager.load`` does, with their data.

    Args:
        names: names of tasks, groups or tags.
        folder: folder of task files, which come before those of lm-eval; None for those of lm-eval alone.
        sources: folder with the files of each data set, by the name that tasks give it.

    Raises:
        UnusableTask: a task is unknown, or its configuration cannot be used.
        CodeInTask: a task would run code of a source, or code that a model writes.
        MissingDataset: the data of a task is in no source.
    """
    names = list(names)
    if folder is not None:
        check_folder(folder)
    manager = _manager(names, folder)
    for name in names:
        if name not in manager.task_index:
            raise UnusableTask(
                f"lm-eval has no task {name}{did_you_mean(name, manager.all_tasks)}",
                "Correct evaluation.tasks.lm_eval.tasks, or add a file of that task to the source of tasks.",
            )
    for entry in _reachable(names, manager.task_index).values():
        _read(entry, folder)
    loaded: dict[str, Any] = {"tasks": {}, "groups": {}}
    configs: dict[str, str] = {}
    for name in names:
        try:
            with local_tasks(folder, sources):
                found = manager.load([name])
        except (*DATA_ERRORS, DatasetGenerationError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnusableTask(
                f"The task {name} of lm-eval cannot be loaded: {reason}.",
                "Correct its configuration or the files of its data; a data set of several configurations needs its "
                "README.md, which names their files.",
            ) from error
        _check_same(configs, found)
        for part in ("tasks", "groups"):
            loaded[part] |= found.get(part, {})
    for name, task in loaded["tasks"].items():
        check_unsafe(name, getattr(task, "UNSAFE_CODE", False))
        if getattr(task, "MULTIMODAL", False):
            raise UnusableTask(f"The task {name} of lm-eval has images or sound.", "Name tasks of text alone.")
    return loaded


def _manager(names: list[str], folder: Path | None) -> Any:
    """Return lm-eval's index of the folder, and of its own tasks only if one of these is named, which takes longer."""
    if folder is not None:
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        if not _unknown(names, manager.task_index):
            return manager
    return TaskManager(include_path=None if folder is None else str(folder))


def _members(entry: Entry) -> list[Any]:
    """Return the members of a group, with those of groups that it has inside; of each what it names or changes."""
    found, pending = list[Any](), [(entry.cfg or {}).get("task")] if entry.kind is Kind.GROUP else []
    seen = set[int]()  # a YAML alias may name the list that it is in
    while pending:
        listed = pending.pop()
        if isinstance(listed, list) and id(listed) not in seen:
            seen.add(id(listed))
            found += listed
            pending += [member.get("task") for member in listed if isinstance(member, dict)]
    return found


def _named(entry: Entry) -> list[str]:
    """Return the names of the members of a group or tag."""
    members = _members(entry)
    parts = [member.get(key) for member in members if isinstance(member, dict) for key in ("group", "task")]
    tagged = sorted(entry.tags) if entry.kind is Kind.TAG else []
    return [name for name in [*members, *parts, *tagged] if isinstance(name, str)]


def _reachable(names: Iterable[str], index: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of names, and of the members of groups and tags."""
    pending, found = list(names), dict[str, Entry]()
    while pending:
        name = pending.pop()
        if name not in found and name in index:
            found[name] = index[name]
            pending += _named(index[name])
    return found


def _unknown(names: Iterable[str], index: Mapping[str, Entry]) -> bool:
    """Return whether a name, or a member of a group, is not in the index."""
    found = _reachable(names, index)
    return any(name not in index for name in [*names, *(one for entry in found.values() for one in _named(entry))])


def _read(entry: Entry, folder: Path | None) -> None:
    """Replace an entry's file by its content, so that functions come from files of lm-eval alone."""
    if entry.yaml_path is None:
        return
    check_unsafe(entry.name, (entry.cfg or {}).get("unsafe_code"))  # before its functions load what they need for it
    own = folder is not None and entry.yaml_path.resolve().is_relative_to(folder.resolve())
    try:
        entry.cfg, entry.yaml_path = load_yaml(entry.yaml_path, resolve_func=not own), None
    except DATA_ERRORS as error:
        raise UnusableTask(f"The task {entry.name} of lm-eval cannot be read: {error}.", "Correct it.") from error


def _check_same(configs: dict[str, str], found: Mapping[str, Any]) -> None:
    """Check that groups do not have a task in two forms, of which lm-eval would score the last one alone."""
    grouped = [task for group in found["groups"].values() for task in group.get_all_tasks()]
    for task in [*found["tasks"].values(), *grouped]:
        text = json.dumps(task.dump_config(), sort_keys=True, default=handle_non_serializable)
        text = re.sub(r" at 0x[0-9a-f]+", "", text)
        if configs.setdefault(task.task_name, text) != text:
            raise UnusableTask(
                f"The task {task.task_name} of lm-eval has different configurations in the groups that are named.",
                "Name one of these groups alone, or give the changed task a name of its own (include, task).",
            )
