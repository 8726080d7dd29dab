"""Questions and groups that stand on two sides of a split, counted anew from the files (faults F39, F40, F41)."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.inspection.rows import question_of, rows_of

SHOWN = 10


def leaks(files: Mapping[str, Path]) -> dict[str, Any]:
    """Validation and test rows with a question or a group of a training row: how many, of how many, and the first.

    Args:
        files: of a set, by side.
    """
    questions: defaultdict[str, str] = defaultdict(str)
    groups: set[str] = set()
    for row in rows_of(files["train"]):
        question = question_of(row)
        questions[question] = min(questions[question] or row["digest"], row["digest"])
        if "group" in row:
            groups.add(row["group"])
    count, found = 0, []
    for side in sorted(set(files) - {"train"}):
        for row in rows_of(files[side]):
            count += 1
            question = question_of(row)
            if question in questions:
                found.append({"side": side, "digest": row["digest"], "same": "question", "as": questions[question]})
            elif row.get("group") in groups:
                found.append({"side": side, "digest": row["digest"], "same": "group", "as": row["group"]})
    found.sort(key=lambda each: (each["side"], each["digest"]))
    return {"held out": count, "leaked": len(found), "first": found[:SHOWN]}
