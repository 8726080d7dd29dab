"""Questions and groups that stand on two sides of a split, counted anew from the files (faults F39, F40, F41)."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tapeout.inspection.rows import question_of, rows_of

SHOWN = 10


def leaks(files: Mapping[str, Path]) -> dict[str, Any]:
    """Validation and test rows with a question or a group of a training row: how many, of how many, and the first.

    Args:
        files: of a set, by side.
    """
    held_out = [(side, row) for side in sorted(set(files) - {"train"}) for row in map(_asked, rows_of(files[side]))]
    if not held_out:
        return {"held out": 0, "leaked": 0, "first": []}
    wanted = {row.question for _, row in held_out}
    questions: dict[str, str] = {}
    groups: set[str] = set()
    for train in map(_asked, rows_of(files["train"])):
        if train.question in wanted:
            questions[train.question] = min(questions.get(train.question, train.digest), train.digest)
        if train.group is not None:
            groups.add(train.group)
    found = []
    for side, row in held_out:
        if row.question in questions:
            found.append({"side": side, "digest": row.digest, "same": "question", "as": questions[row.question]})
        elif row.group in groups:
            found.append({"side": side, "digest": row.digest, "same": "group", "as": row.group})
    found.sort(key=lambda each: (each["side"], each["digest"]))
    return {"held out": len(held_out), "leaked": len(found), "first": found[:SHOWN]}


class _Asked(NamedTuple):
    digest: str
    question: str
    group: str | None


def _asked(row: Mapping[str, Any]) -> _Asked:
    return _Asked(row["digest"], hashlib.sha256(question_of(row).encode()).hexdigest(), row.get("group"))
