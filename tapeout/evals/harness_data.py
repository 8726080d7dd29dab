"""Tasks of lm-eval that read files of sources alone, checked where lm-eval makes a task and reads its data."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import datasets
import lm_eval.api.metrics  # registers them
import lm_eval.tasks._factory
import yaml
from datasets import load_dataset  # the library's own, also while tasks are made
from datasets.features.features import require_decoding
from lm_eval.api.registry import metric_registry
from lm_eval.api.task import ConfigurableTask
from lm_eval.prompts import PROMPT_REGISTRY

from tapeout.errors import TapeoutError
from tapeout.evals.harness_folder import CodeInTask, UnusableTask, inside

READERS = ("arrow", "csv", "json", "parquet", "text")
"""Readers of files that are data; others run scripts or unpickle."""
ARGUMENTS = frozenset(
    {"column_names", "data_dir", "data_files", "delimiter", "encoding", "field", "names", "quotechar", "sep"}
    | {"header", "keep_linebreaks", "quoting", "sample_by", "skiprows", "verification_mode"}
)
"""Keys of ``dataset_kwargs`` that say what is read; others have code, other folders or a server."""
IGNORED = frozenset({"revision", "trust_remote_code"})
"""Keys of ``dataset_kwargs`` that are for a server or for scripts, which are not used."""


class MissingDataset(TapeoutError):
    """The data of a task of lm-eval is in no source."""


class SourceTask(ConfigurableTask):  # type: ignore[misc]  # lm-eval has no types
    """A task of lm-eval whose data is in the folder of tasks or in a source."""

    folder: ClassVar[Path | None] = None
    sources: ClassVar[Mapping[str, Path]] = {}

    def __init__(self, config: dict[str, Any]) -> None:
        """Check the final configuration, with what groups change, and read the data."""
        check_config(str(config.get("task")), config)
        super().__init__(config=config)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Read the data; lm-eval calls it."""
        name = str(self.config.task)
        if callable(self.config.custom_dataset):  # of lm-eval's own tasks alone
            super().download(dataset_kwargs)
            return
        path, given = local_data(
            name, self.config.dataset_path, self.DATASET_NAME, dataset_kwargs or {}, self.folder, self.sources
        )
        self.config.dataset_path, self.config.dataset_kwargs = path, given
        self.dataset = load_dataset(path, self.DATASET_NAME, **given)
        _check_features(name, self.dataset)


@contextmanager
def local_tasks(folder: Path | None, sources: Mapping[str, Path]) -> Iterator[None]:
    """Let lm-eval make tasks that read the folder and the sources alone, also those that have a class of their own."""
    made = lm_eval.tasks._factory.ConfigurableTask

    def load(path: str, name: str | None = None, **given: Any) -> Any:
        given = {key: value for key, value in given.items() if value is not None}
        split = {"split": given.pop("split")} if "split" in given else {}
        path, given = local_data(f"with {path}", path, name, given, folder, sources)
        data = load_dataset(path, name, **given, **split)
        _check_features(f"with {path}", data)
        return data

    datasets.load_dataset = load
    lm_eval.tasks._factory.ConfigurableTask = type(
        "ConfigurableTask", (SourceTask,), {"folder": folder, "sources": sources}
    )
    try:
        yield
    finally:
        datasets.load_dataset, lm_eval.tasks._factory.ConfigurableTask = load_dataset, made


def check_unsafe(task: str, unsafe: Any) -> None:
    """Check that a task runs no code that a model writes."""
    if unsafe:
        raise CodeInTask(
            f"The task {task} of lm-eval runs code that a model writes (unsafe_code).",
            "Remove it; the task verilog_generation runs generated designs in isolation.",
        )


def check_config(task: str, config: Mapping[str, Any]) -> None:
    """Check that a task runs no code of a model, and that its metrics and prompts are lm-eval's own.

    Of other metrics lm-eval would load a script, and a file of prompts may be anywhere.
    """
    check_unsafe(task, config.get("unsafe_code"))
    listed = config.get("metric_list")
    if listed is not None and not (
        isinstance(listed, list) and all(isinstance(one, Mapping) and "metric" in one for one in listed)
    ):
        raise UnusableTask(
            f"The metric_list of the task {task} of lm-eval is not a list of mappings with a metric.",
            "Write it as [{metric: NAME}].",
        )
    for metric in listed or () if config.get("process_results") is None else ():  # else the task computes them itself
        name = metric["metric"]
        if metric.get("hf_evaluate") or not (callable(name) or (isinstance(name, str) and name in metric_registry)):
            raise UnusableTask(
                f"The metric {name} of the task {task} of lm-eval is not one of lm-eval's own.",
                f"Use one of them: {', '.join(sorted(metric_registry))}.",
            )
    prompt = config.get("use_prompt")
    if prompt is not None and str(prompt).partition(":")[0] not in PROMPT_REGISTRY:
        raise UnusableTask(
            f"The prompt {prompt} (use_prompt) of the task {task} of lm-eval is not one of lm-eval's own.",
            "Write the prompt as doc_to_text.",
        )


def local_data(
    task: str, dataset: Any, config: Any, given: Any, folder: Path | None, sources: Mapping[str, Path]
) -> tuple[str, dict[str, Any]]:
    """Return ``dataset_path`` and ``dataset_kwargs`` of a task, with files in its folder or in a source.

    Raises:
        MissingDataset: the data set is in no source.
        CodeInTask: it has a script.
        UnusableTask: it names a file that is not in the source, or is read by more than ``READERS``.
    """
    if dataset is None:
        raise UnusableTask(
            f"The task {task} of lm-eval names no data (dataset_path).",
            "Write dataset_path, or correct the name of the task if it is a member of a group.",
        )
    name, roots = str(dataset), [path.resolve() for path in sources.values()]
    if not isinstance(given, Mapping):
        raise UnusableTask(f"The dataset_kwargs of the task {task} of lm-eval is no mapping.", "Correct it.")
    given = {key: value for key, value in given.items() if key not in IGNORED}
    root: Path | None = None
    path = name
    if name in sources:
        root = sources[name].resolve()
        path = str(root)
    elif Path(name).is_absolute() and any(Path(name).resolve() == one for one in roots):
        root = Path(name).resolve()  # of a task that has been here before
    elif folder is not None:
        root = folder.resolve()
        path = name if name in READERS else str(inside(root, name, root, f"The task {task}"))
    if root is None or (path not in READERS and not Path(path).is_dir()):
        raise MissingDataset(
            f"The data set {name} of the task {task} of lm-eval is in no source.",
            "Add a source with its files, and name it: evaluation.tasks.lm_eval.datasets: "
            f"{{{name}: SOURCE}} (docs/eval_report.md).",
        )
    unknown = sorted(str(key) for key in given if key not in ARGUMENTS)
    if unknown:
        raise UnusableTask(
            f"The dataset_kwargs of the task {task} of lm-eval has {unknown[0]}, which is not used here.",
            f"Remove it; these can be used: {', '.join(sorted(ARGUMENTS))}.",
        )
    if path in READERS and not (given.get("data_files") or given.get("data_dir")):
        raise UnusableTask(
            f"The task {task} of lm-eval is read as {path}, and names no files.",
            "Name them: dataset_kwargs: {data_files: FILE}.",
        )
    if path not in READERS:
        _check_data_folder(task, name, Path(path), root)
    for key in ("data_files", "data_dir"):
        if given.get(key) is not None:
            given[key] = _located(given[key], root, task)
    _check_reader(task, path, config, given, root)
    return path, given


def _check_data_folder(task: str, name: str, path: Path, root: Path) -> None:
    scripts = sorted(path.glob("*.py"))
    if scripts:
        raise CodeInTask(
            f"The data set {name} of the task {task} of lm-eval has a script, {scripts[0].name}, which is not run.",
            "Leave it out of the source (exclude), and give the data as JSON Lines, CSV or parquet files.",
        )
    for file in (path / datasets.config.REPOCARD_FILENAME, path / datasets.config.REPOYAML_FILENAME):
        if not file.is_file():
            continue
        try:
            text = file.read_text("utf-8")
            if file.suffix == ".md":
                text = text.partition("---\n")[2].partition("\n---")[0] if text.startswith("---") else ""
            header = yaml.safe_load(text)
        except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise UnusableTask(
                f"The file {file.name} of the data set {name} of lm-eval cannot be read: {reason}.", "Correct it."
            ) from error
        configs = header.get("configs") if isinstance(header, dict) else None
        for config in configs if isinstance(configs, list) else ():
            for key in ("data_files", "data_dir"):
                if isinstance(config, dict) and config.get(key) is not None:
                    _located(config[key], root, task, path)


def _located(value: Any, root: Path, task: str, base: Path | None = None) -> Any:
    """Return files of a data set with absolute paths, in the form in which they are given."""
    if isinstance(value, Mapping):
        return {split: _located(files, root, task, base) for split, files in value.items()}
    if isinstance(value, list):
        return [_located(file, root, task, base) for file in value]
    return str(inside(root, str(value), base or root, f"The task {task}"))


def _check_reader(task: str, path: str, config: Any, given: Mapping[str, Any], root: Path) -> None:
    """Check the reader that the library chooses, and the files that it finds, before it reads them."""
    files = {key: given[key] for key in ("data_files", "data_dir") if given.get(key) is not None}
    builder = datasets.load_dataset_builder(path, config, **files)
    reader = type(builder).__module__.rpartition(".")[2]
    if reader not in READERS:
        raise UnusableTask(
            f"The data of the task {task} of lm-eval is read as {reader}.",
            "Give it as JSON Lines, CSV, parquet, arrow or text files.",
        )
    for split in (builder.config.data_files or {}).values():
        for file in split:
            inside(root, os.fspath(file), root, f"The task {task}")


def _check_features(task: str, data: Any) -> None:
    """Check that no column is a path or address of an image or sound, which would be opened where it is."""
    for split in data.values() if isinstance(data, Mapping) else [data]:
        for column, feature in split.features.items():
            if require_decoding(feature, ignore_decode_attribute=True):
                raise UnusableTask(
                    f"The column {column} of the data of the task {task} of lm-eval has images, sound or other files.",
                    "Give data of text and numbers alone.",
                )
