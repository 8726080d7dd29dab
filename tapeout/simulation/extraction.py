"""Extract the source text from a model's answer by the frozen rule in ``extraction_rule.json``.

The rule is data, and its digest stands beside every score, so that nobody needs to ask how answers were cleaned.
"""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from tapeout.simulation.problems.problem import Problem

RULE = Path(__file__).with_name("extraction_rule.json")


@cache
def rule_digest() -> str:
    """Return the SHA-256 of the rule's file."""
    return hashlib.sha256(RULE.read_bytes()).hexdigest()


@cache
def _rule() -> dict[str, Any]:
    flags = re.MULTILINE | re.DOTALL
    texts = json.loads(RULE.read_bytes())
    patterns = (
        "fenced_block",
        "fence",
        "language",
        "module",
        "declaration",
        "leading_line",
        "leading_comment",
        "endmodule",
    )
    return {**texts, **{name: re.compile(texts[name], flags) for name in patterns}}


def extract(problem: Problem, answer: str) -> str:
    """Return the source text in an answer; an empty text if it has none."""
    rule = _rule()
    text: str = answer.replace("\r\n", "\n").rpartition(rule["reasoning_end"])[2]
    blocks = [block for block in rule["fenced_block"].findall(text) if rule["module"].search(block)]
    wanted = [block for block in blocks if declares(block, problem.top)]
    chosen: str = (wanted or blocks or [text])[0]
    if problem.dialect == "body" and not declares(chosen, problem.top):
        return _with_header(problem.header, text)
    first = rule["module"].search(chosen)
    if first is None:
        return ""
    declaration = rule["declaration"].search(chosen, 0, first.start())
    start = _start(chosen, declaration.start() if declaration else first.start())
    ends = [match.end() for match in rule["endmodule"].finditer(chosen, first.end())]
    return chosen[start : ends[-1] if ends else None].strip() + "\n"


def declares(text: str, module: str) -> bool:
    """Return whether a text declares a module of this name."""
    return any(match[1] == module for match in _rule()["module"].finditer(text))


def _start(text: str, first: int) -> int:
    """Return where directives, imports and comments directly before the first declaration begin."""
    start = text.rfind("\n", 0, first) + 1
    comments = {match.end(): match.start() for match in _rule()["leading_comment"].finditer(text, 0, start)}
    while start > 0:
        before = comments.get(start - 1, text.rfind("\n", 0, start - 1) + 1)
        if start - 1 not in comments and not _rule()["leading_line"].fullmatch(text[before : start - 1]):
            break
        start = before
    return start


def _with_header(header: str, answer: str) -> str:
    rule = _rule()
    blocks = rule["fenced_block"].findall(answer)
    fences = rule["fence"].findall(answer)
    is_open = len(fences) == 1 and not rule["language"].search(fences[0])  # the prompt ended inside of a block
    body = blocks[0] if blocks and not is_open else answer
    end = rule["endmodule"].search(body)
    body = body[: end.start()] if end else rule["fence"].split(body)[0]
    return f"{header.rstrip()}\n{body.strip(chr(10)).rstrip()}\nendmodule\n" if body.strip() else ""
