"""Run tasks of lm-eval on a loaded model, and keep a value for each document."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_eval.api import metrics
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.evaluator import evaluate
from lm_eval.utils import handle_non_serializable

from tapeout.evals.harness_folder import UnusableTask
from tapeout.evals.harness_model import HarnessModel
from tapeout.evals.harness_result import (
    Aggregation,
    Document,
    GroupScore,
    Harness,
    HarnessTask,
    Metric,
    document_digest,
)
from tapeout.evals.harness_tasks import DATA_ERRORS, TASKS, load_tasks, offline
from tapeout.evals.task import DIGITS

RESAMPLES = 1000
"""Resamples of lm-eval's own bootstrap, for standard errors that have no formula."""
AGGREGATIONS: dict[Any, Aggregation] = {
    metrics.mean: "mean",
    metrics.perplexity: "perplexity",
    metrics.weighted_perplexity: "weighted_perplexity",
    metrics.bits_per_byte: "bits_per_byte",
}


def run_tasks(
    model: HarnessModel,
    names: Sequence[str],
    folder: Path | None,
    sources: Mapping[str, Path],
    shots: int | None,
    max_documents: int | None,
    seed: int,
) -> Harness:
    """Score a model on tasks, groups or tags of lm-eval, as ``lm_eval.simple_evaluate`` does.

    Args:
        model: the model.
        names: their names.
        folder: folder of task files; None for those of lm-eval alone.
        sources: folder of each data set, by the name that tasks give it.
        shots: examples in a prompt; None for the number that each task states.
        max_documents: documents of each task, the first ones; None for all.
        seed: seed by which examples are chosen.

    Raises:
        UnusableTask: see ``load_tasks``; or a task's templates do not fit its data.
        CodeInTask, MissingDataset: see ``load_tasks``.
        UnsupportedRequest: see ``HarnessModel``.
    """
    with offline():
        loaded = load_tasks(names, folder, sources)
        for task in loaded["tasks"].values():
            stated = task.get_config("num_fewshot")
            if stated is None or (shots is not None and stated != 0):
                task.set_config(key="num_fewshot", value=shots or 0)
            task.set_fewshot_seed(seed=seed)
        random.seed(DEFAULT_RANDOM_SEED)
        np.random.seed(DEFAULT_OTHER_SEED)
        torch.manual_seed(DEFAULT_OTHER_SEED)
        try:
            found = evaluate(model, loaded, limit=max_documents, bootstrap_iters=RESAMPLES)
        except (*DATA_ERRORS, ArithmeticError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UnusableTask(
                f"A task of lm-eval ({', '.join(loaded['tasks'])}) cannot be scored: {reason}.",
                "Correct its templates and metrics, or remove it from evaluation.tasks.lm_eval.tasks.",
            ) from error
        paths = {str(TASKS): "", **({} if folder is None else {str(folder.resolve()): ""})}
        paths |= {str(path.resolve()): name for name, path in sources.items()}
        return Harness(
            version=version("lm_eval"),
            tasks=[
                _task(name, task, found, model.truncated.get(name, 0), paths)
                for name, task in sorted(loaded["tasks"].items())
            ],
            groups=_groups(loaded["groups"], found, loaded["tasks"]),
        )


def _task(name: str, task: Any, found: Any, truncated: int, paths: Mapping[str, str]) -> HarnessTask:
    scores = _scores(found["results"][name])
    aggregations, directions = task.aggregation(), task.higher_is_better()
    by_number: dict[int, list[Any]] = {}
    for sample in found["samples"][name]:
        by_number.setdefault(sample["doc_id"], []).append(sample)
    documents = [
        Document(
            digest=document_digest(samples[0]["doc"]),
            responses=[_plain(response) for responses in samples[0]["resps"] for response in responses],
            values={f"{key},{one['filter']}": _plain(one[key]) for one in samples for key in one["metrics"]},
        )
        for _, samples in sorted(by_number.items())
    ]
    complete = {key for key in scores if all(f"{key[0]},{key[1]}" in one.values for one in documents)}
    return HarnessTask(
        name=name,
        version=str(task.VERSION),
        config=_config_digest(task, paths),
        data_set=paths.get(str(task.get_config("dataset_path")), ""),
        output_type=str(task.OUTPUT_TYPE),
        shots=int(task.get_config("num_fewshot") or 0),
        in_task=int(found["n-samples"][name]["original"]),
        truncated=truncated,
        metrics=[
            Metric(
                name=metric,
                filter=kind,
                aggregation=AGGREGATIONS.get(aggregations.get(metric, metrics.mean), "other")
                if (metric, kind) in complete
                else "other",
                higher_is_better=directions.get(metric) is not False,
                value=value,
                stderr=stderr,
            )
            for (metric, kind), (value, stderr) in sorted(scores.items())
        ],
        documents=documents,
    )


def _groups(groups: Mapping[str, Any], found: Any, tasks: Mapping[str, Any]) -> list[GroupScore]:
    """Return the scores of groups that are means of values of documents."""
    scores = []
    for name, group in sorted(groups.items()):
        listed = {entry.metric: entry.weight_by_size for entry in group.aggregate_metric_list or ()}
        for (metric, kind), (value, stderr) in sorted(_scores(found.get("groups", {}).get(name, {})).items()):
            members = sorted({task.task_name for task in group.get_all_tasks()})
            members = [one for one in members if f"{metric},{kind}" in found["results"][one]]
            if all(tasks[one].aggregation().get(metric, metrics.mean) is metrics.mean for one in members):
                scores.append(
                    GroupScore(
                        group=name,
                        name=metric,
                        filter=kind,
                        weighted=listed[metric],
                        tasks=members,
                        value=value,
                        stderr=stderr,
                    )
                )
    return scores


def _scores(results: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float | None]]:
    """Return value and standard error by metric and filter; lm-eval names them ``acc,none``, ``acc_stderr,none``."""
    scores = {}
    for key, value in results.items():
        metric, comma, kind = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            stderr = results.get(f"{metric}_stderr,{kind}", "N/A")
            scores[metric, kind] = (
                round(float(value), DIGITS),
                None if isinstance(stderr, str) else round(float(stderr), DIGITS),
            )
    return scores


def _plain(value: Any) -> Any:
    """Return a response or value as JSON, with rounded numbers."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bool | str | int | None):
        return value
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(inner) for inner in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return str(value)


def _config_digest(task: Any, paths: Mapping[str, str]) -> str:
    """Return the SHA-256 of a task's configuration, in which folders of this machine have the names of their sources.

    Functions of lm-eval's own tasks count by their code.
    """
    text = json.dumps(task.dump_config(), sort_keys=True, default=handle_non_serializable)
    for path, name in sorted(paths.items(), key=lambda item: -len(item[0])):
        text = text.replace(json.dumps(path)[1:-1], name)
    return sha256(re.sub(r" at 0x[0-9a-f]+", "", text).encode()).hexdigest()
