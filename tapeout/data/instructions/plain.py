"""Rows of instruction, context and response in which nothing needs a second look, many at once.

This gives the same rows as ``tapeout.data.instructions.formats.prompt_response`` does one by one, several times faster (tests compare).
Fields stay JSON from the file to the artifact: digests and lines are put together of what is there already.
"""

import hashlib
from itertools import chain
from typing import NamedTuple

import numpy as np
import orjson

from tapeout.config.imported import PromptResponse
from tapeout.data.instructions.framed import BACKSLASH, QUOTE, framed
from tapeout.data.instructions.import_report import Account
from tapeout.data.instructions.text import CITATION, clean


class Lines(NamedTuple):
    """Rows as they are written, with what the split needs; one entry a row in each.

    Attributes:
        written: the line.
        digests: of the rows, which are their groups as well.
        categories: in the words of the file.
        questions: JSON of instruction and context, without quotation marks.
    """

    written: list[bytes]
    digests: list[str]
    categories: list[str]
    questions: list[bytes]


class Fields(NamedTuple):
    """Fields of rows as JSON without quotation marks."""

    instructions: list[bytes]
    contexts: list[bytes]
    responses: list[bytes]
    categories: list[bytes]
    citations: int = 0
    """Marks that were removed."""


def plain_rows(content: bytes, options: PromptResponse, origin: tuple[str, str], account: Account) -> Lines | None:
    """Rows of some lines of JSON, in no particular order; None, and nothing is counted, if one of them is not plain.

    Args:
        content: whole lines, none of them empty, each with its line feed; none is longer than the options allow.
        options: of the source.
        origin: name of the source, and its licence.
        account: counts the rows.
    """
    alike = framed(content)
    found = _of_framed(alike.fields, options) if alike.lines else None
    rest = list(alike.rest.values()) if found else content[:-1].split(b"\n")
    parsed = _parsed(rest) if rest else []
    others = _of_parsed(parsed, options) if parsed else None
    if rest and others is None:
        return None
    made = Lines([], [], [], [])
    for fields in (found, others):
        if fields:
            _write(fields, options, origin, made, account)
    return made


def _of_framed(fields: dict[str, list[bytes]], options: PromptResponse) -> Fields | None:
    """The fields that the options name; None if one is missing, or something is to be done with one."""
    names = options.fields
    wanted = [names.instruction, names.response, *([names.context] if names.context else [])]
    wanted += [names.category] if names.category else []
    if any(name not in fields for name in wanted) or options.strip_citations:
        return None
    instructions, responses = fields[names.instruction], fields[names.response]
    count = len(instructions)
    contexts = fields[names.context] if names.context else [b""] * count
    constant = orjson.dumps(options.category)[1:-1]
    categories = fields[names.category] if names.category else [constant] * count
    if not (all(instructions) and all(responses) and all(categories)):
        return None
    return Fields(instructions, contexts, responses, categories)


def quotes(content: bytes) -> int:
    """How many quotation marks begin or end a text in JSON, those inside of texts left out."""
    if b"\\\\" in content:
        content = content.replace(b"\\\\", b"")
    codes = np.frombuffer(content, dtype=np.uint8)
    found = codes == QUOTE
    return int(np.count_nonzero(found)) - int(np.count_nonzero(found[1:] & (codes[:-1] == BACKSLASH)))


def _parsed(lines: list[bytes]) -> list[dict[str, str]] | None:
    """The objects of some lines, if each line is one of texts alone, with no key twice; else None."""
    try:
        rows = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return None
    if {*map(type, rows)} != {dict} or {*map(type, chain.from_iterable(map(dict.values, rows)))} != {str}:
        return None
    content = b"\n".join(lines)
    # a key that stands twice is a text more than the objects hold
    return rows if quotes(content) == 4 * sum(map(len, rows)) and b"\\u0000" not in content else None


def _of_parsed(rows: list[dict[str, str]], options: PromptResponse) -> Fields | None:
    """The fields by the white-space rule; None if one is missing or empty."""
    names = options.fields
    try:
        instructions = [clean(row[names.instruction]) for row in rows]
        contexts = [clean(row[names.context]) for row in rows] if names.context else [""] * len(rows)
        responses = [clean(row[names.response]) for row in rows]
        categories = [clean(row[names.category]) for row in rows] if names.category else [options.category] * len(rows)
    except KeyError:
        return None
    if not (all(instructions) and all(responses) and all(categories)):
        return None
    removed = 0
    if options.strip_citations:
        counted = [CITATION.subn("", context) for context in contexts]
        contexts = [clean(context) for context, _ in counted]
        removed = sum(count for _, count in counted)
    return Fields(_json(instructions), _json(contexts), _json(responses), _json(categories), removed)


def _json(texts: list[str]) -> list[bytes]:
    return [orjson.dumps(text)[1:-1] for text in texts]


def _write(fields: Fields, options: PromptResponse, origin: tuple[str, str], made: Lines, account: Account) -> None:
    """Put the lines together."""
    sha256, join = hashlib.sha256, b"".join
    seed, between = b'["%d","' % options.seed, orjson.dumps(options.separator)[1:-1]
    source, licence = map(orjson.dumps, origin)
    before_output, end = b'","licence":' + licence + b',"output":"', b'","source":' + source + b"}\n"
    leading = together = 0
    for instruction, context, response, category in zip(*fields[:4], strict=True):
        digest = sha256(join((b'["', instruction, b'","', context, b'","', response, b'","', category, b'"]')))
        name = digest.hexdigest()
        number = name.encode()
        asked = question = instruction
        if context:
            together += 1
            question = join((instruction, b"\\n", context))
            if sha256(join((seed, number, b'"]'))).digest()[-1] & 1:
                asked = join((instruction, between, context))
            else:
                asked = join((context, between, instruction))
                leading += 1
        made.digests.append(name)
        made.questions.append(question)
        parts = (b'{"category":"', category, b'","digest":"', number, b'","group":"', number, b'","input":"', asked)
        made.written.append(join((*parts, before_output, response, end)))
    known = {category: orjson.loads(b'"' + category + b'"') for category in set(fields.categories)}
    made.categories.extend(map(known.__getitem__, fields.categories))
    if options.strip_citations:
        account.changed["citation marks removed"] += fields.citations
    account.read["rows"] += len(fields.instructions)
    if leading:
        account.changed["context first"] += leading
    if together > leading:
        account.changed["instruction first"] += together - leading
