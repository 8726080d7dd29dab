"""The quick way through rows says the same as the one that looks at each by itself, or says that it cannot."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.imported import PromptResponse
from tapeout.data.instructions import pieces
from tapeout.data.instructions.formats.prompt_response import prompt_rows
from tapeout.data.instructions.framed import framed
from tapeout.data.instructions.import_report import Account, BadRow
from tapeout.data.instructions.plain import plain_rows
from tapeout.data.instructions.question_clusters import Clusters, grams, jaccard, keys_of, near_pairs
from tapeout.data.instructions.reading import json_lines
from tapeout.data.instructions.source import import_source, read_rows
from tests.data.imported.material import job, write_lines

pytestmark = pytest.mark.environment("data")

TEXTS = st.one_of(
    st.text(st.sampled_from([*'ab "\\\n\r\t\x0b,:{}[3]é漢\u00a0\x7f/']), max_size=12),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["ask", "two\nlines", 'say "it"', 'end", "', "c:\\new", ""]),
)
KEYS = ["instruction", "context", "response", "category"]
ROWS = st.fixed_dictionaries(dict.fromkeys(KEYS, TEXTS), optional={"more": TEXTS})
STYLES: list[dict[str, Any]] = [{}, {"ensure_ascii": False}, {"separators": (",", ":")}, {"sort_keys": True}]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(ROWS, st.sampled_from([0, 0, 0, 0, 1, 2, 3])), min_size=1, max_size=8), st.booleans())
def test_rows_and_counts_are_the_same(rows: list[tuple[dict[str, str], int]], strip: bool) -> None:
    lines = [json.dumps(row, **STYLES[style]) for row, style in rows]
    compare(
        "".join(f"{line}\n" for line in lines).encode(), PromptResponse(format="prompt_response", strip_citations=strip)
    )


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_bytes_that_were_changed_are_never_taken_for_others(data: st.DataObject) -> None:
    rows = data.draw(st.lists(ROWS.filter(lambda row: all(row.values())), min_size=1, max_size=5))
    content = bytearray("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(content) - 2))
        new = data.draw(st.sampled_from([*b'"\\{}:, nx\x00\xff\x1f']))
        content[place : place + data.draw(st.integers(0, 1))] = bytes([new])
    compare(bytes(content), PromptResponse(format="prompt_response"))


def compare(content: bytes, options: PromptResponse) -> None:
    """Read lines both ways; the quick one may decline, and must if a line cannot be used."""
    account = Account("stop")
    found = plain_rows(content, options, ("given", "MIT"), account)
    wanted, counts = slowly(content, options)
    if wanted is None:
        assert found is None
    elif found is None:
        assert account.report() == Account("stop").report()
    else:
        assert sorted(found.written) == sorted(wanted)
        assert account.report() == counts
        for written, digest, category in zip(found.written, found.digests, found.categories, strict=True):
            row = orjson.loads(written)
            assert (row["digest"], row["category"]) == (digest, category)


def slowly(content: bytes, options: PromptResponse) -> tuple[list[bytes] | None, Any]:
    """Lines row by row, and the account; None if one cannot be used."""
    account = Account("stop")
    try:
        rows = list(prompt_rows(json_lines(io.BytesIO(content), "rows.jsonl", options, account), options, account))
    except BadRow:
        return None, None
    sort = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return [orjson.dumps(row.line("given", "MIT"), option=sort) for row in rows], account.report()


def dolly(number: int, **changes: str) -> dict[str, str]:
    row = {"instruction": f"What is {number}?", "context": "a\nb" * (number % 2), "response": "It.", "category": "qa"}
    return {**row, **changes}


def test_most_rows_are_framed_and_the_others_parsed() -> None:
    rows = [dolly(number) for number in range(50)] + [dolly(1, response=" é "), {"more": "x", **dolly(2)}]
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    assert framed(content).lines == list(range(50)) and list(framed(content).rest) == [50, 51]
    made = plain_rows(content, PromptResponse(format="prompt_response"), ("s", "l"), Account("stop"))
    assert made is not None and len(made.written) == 52


@pytest.mark.parametrize("bad_rows", ["stop", "drop"])
def test_any_number_of_processes_and_any_pieces_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad_rows: str
) -> None:
    rows: list[Any] = [dolly(number, response=f"{number} é"[: 2 + number % 9]) for number in range(900)]
    folder = write_lines(tmp_path / "in", rows, "a.jsonl")
    more = [dolly(number) for number in range(400, 1300)]
    if bad_rows == "drop":
        more[300] = dolly(7, response=" ")
    (folder / "b.jsonl").write_text("\ufeff" + "\r\n".join(map(json.dumps, more)) + "\n \n\n")
    (folder / "c.csv").write_text("instruction,context,response,category\nWhy?,,So.,qa\n")
    wanted = None
    for workers, size in ((1, 1 << 20), (1, 100), (2, 5000), (3, 1000)):
        monkeypatch.setattr(pieces, "PIECE", size)
        output = tmp_path / f"{workers}-{size}"
        import_source(folder, job("prompt_response", bad_rows=bad_rows), output, workers)
        found = {path.name: path.read_bytes() for path in output.iterdir()}
        wanted = wanted or found
        assert found == wanted
    assert wanted is not None
    lines = sorted(b"".join(wanted[f"{side}.jsonl"] for side in ("train", "validation", "test")).splitlines())
    account = Account("drop")
    one_by_one = {row.digest: row for row in read_rows(folder, job("prompt_response", bad_rows="drop"), account)}
    assert lines == sorted(
        orjson.dumps(row.line("given", "MIT"), option=orjson.OPT_SORT_KEYS) for row in one_by_one.values()
    )


def test_errors_name_the_same_place_from_any_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [dolly(number) for number in range(500)]
    folder = write_lines(tmp_path / "in", [*rows[:321], dolly(0, response=""), *rows[321:], {"no": "row"}])
    (folder / "z.jsonl").write_bytes(b"")
    said = set()
    for workers, size in ((1, 1 << 20), (2, 1000), (3, 300)):
        monkeypatch.setattr(pieces, "PIECE", size)
        with pytest.raises(BadRow) as error:
            import_source(folder, job("prompt_response"), tmp_path / "out", workers)
        said.add(str(error.value))
    assert len(said) == 1 and "line 322" in said.pop()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.sampled_from([*"abAB .é\n"]), max_size=30), min_size=1, max_size=8))
def test_near_pairs_are_near_and_equal_words_are_found(texts: list[str]) -> None:
    texts = [*texts, f"{texts[0]} !", texts[0].upper()]
    clusters = Clusters(len(texts))
    keys = np.stack([keys_of(text) for text in texts])
    pairs = list(near_pairs(texts, keys, 0.8, clusters))
    assert all(jaccard(grams(texts[one]), grams(texts[other])) >= 0.8 for one, other in pairs)
    for one, other in pairs:
        clusters.join(one, other)
    if texts[0].isascii():
        assert clusters.first(len(texts) - 1) == clusters.first(0) == clusters.first(len(texts) - 2)
