"""Load tasks of lm-eval without the network: configurations from a folder or from lm-eval, data from sources alone."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import huggingface_hub.constants
import lm_eval.api.metrics  # registers them
import lm_eval.utils
from datasets.exceptions import DatasetGenerationError
from jinja2 import TemplateError
from jinja2.sandbox import SandboxedEnvironment
from lm_eval.api.registry import metric_registry
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind
from lm_eval.tasks._yaml_loader import load_yaml

from tapeout.errors import TapeoutError, did_you_mean
from tapeout.evals.harness_folder import CodeInTask, UnusableTask, check_folder, inside

READERS = ("arrow", "csv", "json", "parquet", "text")
"""Readers of files that are data; others run scripts or unpickle."""
TASKS = Path(lm_eval.utils.__file__).parent / "tasks"
"""Folder of the tasks that lm-eval has."""
DATA_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, ImportError, AttributeError, AssertionError),
    TemplateError,
)
"""Errors of lm-eval and its libraries about a configuration or its data."""


class MissingDataset(TapeoutError):
    """The data of a task of lm-eval is in no source."""


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
        _localize(entry, folder, sources)
    loaded: dict[str, Any] = {"tasks": {}, "groups": {}}
    for name in names:
        try:
            found = manager.load([name])
        except (*DATA_ERRORS, DatasetGenerationError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnusableTask(
                f"The task {name} of lm-eval cannot be loaded: {reason}.",
                "Correct its configuration or the files of its data; a data set of several configurations needs its "
                "README.md, which names their files.",
            ) from error
        for part in ("tasks", "groups"):
            loaded[part] |= found.get(part, {})
    for name, task in loaded["tasks"].items():
        _check_unsafe(name, getattr(task, "UNSAFE_CODE", False))
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
    listed = (entry.cfg or {}).get("task")
    return listed if entry.kind is Kind.GROUP and isinstance(listed, list) else []


def _reachable(names: Iterable[str], index: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the entries of names, and of the members of groups and tags."""
    pending, found = list(names), dict[str, Entry]()
    while pending:
        name = pending.pop()
        if name in found or name not in index:
            continue
        entry = found[name] = index[name]
        members = [*_members(entry), *(sorted(entry.tags) if entry.kind is Kind.TAG else [])]
        while members:
            member = members.pop()
            if isinstance(member, str):
                pending.append(member)
            elif isinstance(member, dict):
                pending += [str(member[key]) for key in ("group", "task") if isinstance(member.get(key), str)]
                members += member["task"] if isinstance(member.get("task"), list) else []
    return found


def _unknown(names: Iterable[str], index: Mapping[str, Entry]) -> bool:
    """Return whether a name, or a member of a group, is not in the index."""
    found = _reachable(names, index)
    members = [member for entry in found.values() for member in _members(entry)]
    return any(name not in index for name in [*names, *(one for one in members if isinstance(one, str))])


def _localize(entry: Entry, folder: Path | None, sources: Mapping[str, Path]) -> None:
    """Replace an entry's file by its content, in which data sets are files of sources."""
    if entry.yaml_path is None:
        return
    _check_unsafe(entry.name, (entry.cfg or {}).get("unsafe_code"))  # before its functions load what they need for it
    own = folder is not None and entry.yaml_path.resolve().is_relative_to(folder.resolve())
    try:
        config = load_yaml(entry.yaml_path, resolve_func=not own)
    except DATA_ERRORS as error:
        raise UnusableTask(f"The task {entry.name} of lm-eval cannot be read: {error}.", "Correct it.") from error
    _check_metrics(entry.name, config)
    base = folder if own else None
    entry.cfg, entry.yaml_path = config, None
    for part in (config, *(member for member in _members(entry) if isinstance(member, dict))):
        if "dataset_path" in part:
            part |= _local_data(entry.name, part, base, sources)
        elif "dataset_kwargs" in part:
            raise UnusableTask(
                f"The group {entry.name} of lm-eval changes the data of a task (dataset_kwargs) without dataset_path.",
                "Write dataset_path beside it.",
            )


def _check_unsafe(task: str, unsafe: Any) -> None:
    if unsafe:
        raise CodeInTask(
            f"The task {task} of lm-eval runs code that a model writes (unsafe_code).",
            "Remove it; the task verilog_generation runs generated designs in isolation.",
        )


def _check_metrics(task: str, config: Mapping[str, Any]) -> None:
    """Check that metrics are lm-eval's own; of others lm-eval would load a script from a server."""
    if config.get("process_results") is not None:  # it computes them itself
        return
    for metric in config.get("metric_list") or ():
        name = metric.get("metric")
        if metric.get("hf_evaluate") or (isinstance(name, str) and name not in metric_registry):
            raise UnusableTask(
                f"The metric {name} of the task {task} of lm-eval is not one of lm-eval's own.",
                f"Use one of them: {', '.join(sorted(metric_registry))}.",
            )


def _local_data(
    task: str, config: Mapping[str, Any], folder: Path | None, sources: Mapping[str, Path]
) -> dict[str, Any]:
    """Return ``dataset_path`` and ``dataset_kwargs`` of a task, with files in its folder or in a source."""
    name = str(config["dataset_path"])
    given = dict(config.get("dataset_kwargs") or {})
    given.pop("trust_remote_code", None)
    if name in sources:
        root = base = sources[name].resolve()
        path = str(root)
    elif folder is not None:
        root = base = folder.resolve()
        path = name if name in READERS else str(inside(root, name, base, f"The task {task}"))
    else:
        path, root = name, None
    if root is None or (path not in READERS and not Path(path).is_dir()):
        raise MissingDataset(
            f"The data set {name} of the task {task} of lm-eval is in no source.",
            "Add a source with its files, and name it: evaluation.tasks.lm_eval.datasets: "
            f"{{{name}: SOURCE}} (docs/eval_report.md).",
        )
    scripts = sorted(Path(path).glob("*.py")) if path not in READERS else []
    if scripts:
        raise CodeInTask(
            f"The data set {name} of the task {task} of lm-eval has a script, {scripts[0].name}, which is not run.",
            "Leave it out of the source (exclude), and give the data as JSON Lines, CSV or parquet files.",
        )
    for key in ("data_files", "data_dir"):
        if key in given:
            given[key] = _located(given[key], root, task)
    return {"dataset_path": path, "dataset_kwargs": given}


def _located(value: Any, root: Path, task: str) -> Any:
    """Return files of a data set with absolute paths, in the form in which they are given."""
    if isinstance(value, Mapping):
        return {split: _located(files, root, task) for split, files in value.items()}
    if isinstance(value, list):
        return [_located(file, root, task) for file in value]
    return str(inside(root, str(value), root, f"The task {task}"))
