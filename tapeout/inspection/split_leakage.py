"""Split leakage: questions and groups of held-out rows that also occur in training rows, in any Unicode form."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tapeout.data.io.ngrams import unicode_form
from tapeout.inspection.rows import question_of, read_rows

MAX_EXAMPLES = 10


class _Key(NamedTuple):
    digest: str
    question: str
    group: str | None


def count_leaks(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return how many validation and test rows share a question or a group with a training row, and the first ones."""
    held_out = [(split, key) for split in sorted(set(files) - {"train"}) for key in map(_key, read_rows(files[split]))]
    if not held_out:
        return {"held_out": 0, "leaked": 0, "examples": []}
    wanted = {key.question for _, key in held_out}
    questions: dict[str, str] = {}
    groups: set[str] = set()
    for train in map(_key, read_rows(files["train"])):
        if train.question in wanted:
            questions[train.question] = min(questions.get(train.question, train.digest), train.digest)
        if train.group is not None:
            groups.add(train.group)
    leaks = []
    for split, key in held_out:
        if key.question in questions:
            leaks.append({"split": split, "digest": key.digest, "same": "question", "as": questions[key.question]})
        elif key.group in groups:
            leaks.append({"split": split, "digest": key.digest, "same": "group", "as": key.group})
    leaks.sort(key=lambda leak: (leak["split"], leak["digest"]))
    return {"held_out": len(held_out), "leaked": len(leaks), "examples": leaks[:MAX_EXAMPLES]}


def _key(row: Mapping[str, Any]) -> _Key:
    group = row.get("group")
    question = hashlib.sha256(unicode_form(question_of(row)).encode()).hexdigest()
    return _Key(row["digest"], question, None if group is None else unicode_form(group))
