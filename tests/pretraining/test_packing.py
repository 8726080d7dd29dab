"""First fit decreasing: as by the book, and nothing lost, doubled, mixed or cut."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.data.encode.first_fit import first_fit_decreasing
from tapeout.data.encode.packed import write_packed
from tapeout.data.encode.packed_rows import pack_file
from tapeout.data.io.empty import EmptyCorpus
from tapeout.data.io.jsonl import MalformedRow
from tests.pretraining.conftest import WORDS

pytestmark = pytest.mark.environment("corpus")

LENGTHS = st.lists(st.integers(1, 30), max_size=80)


def by_the_book(lengths: list[int], capacity: int) -> list[list[int]]:
    bins: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        for members in bins:
            if sum(lengths[each] for each in members) + lengths[row] <= capacity:
                members.append(row)
                break
        else:
            bins.append([row])
    return bins


@settings(deadline=None, max_examples=300)
@given(LENGTHS, st.integers(30, 64))
def test_the_bins_are_those_of_the_definition(lengths: list[int], capacity: int) -> None:
    assert [members.tolist() for members in first_fit_decreasing(lengths, capacity)] == by_the_book(lengths, capacity)


@pytest.mark.parametrize("lengths", [[0], [31], [5, 31]])
def test_a_row_that_does_not_fit_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="a bin takes 1 to 30"):
        first_fit_decreasing(lengths, 30)


ROWS = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), min_size=2, max_size=21).map(
        lambda pairs: tuple(zip(*pairs, strict=True))
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=150)
@given(ROWS)
def test_every_row_comes_back_whole_and_alone(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("packed")
    counts = write_packed(rows, folder, 20, padding=7)
    read = {path.stem: np.load(path) for path in folder.iterdir()}
    assert sorted(read["rows"].tolist()) == list(range(len(rows)))
    used = 0
    for sequence in range(counts["sequences"]):
        members = range(read["sequences"][sequence], read["sequences"][sequence + 1])
        for number, member in enumerate(members):
            ids, mask = rows[read["rows"][member]]
            here = np.flatnonzero(read["segments"][sequence] == number)
            start = read["starts"][member]
            assert here.tolist() == list(range(start, start + len(ids) - 1))
            assert read["tokens"][sequence, here].tolist() == list(ids[:-1])
            assert read["labels"][sequence, here].tolist() == list(ids[1:])
            assert read["mask"][sequence, here].tolist() == list(mask[1:])
            assert read["positions"][sequence, here].tolist() == list(range(len(here)))
            used += len(here)
        rest = read["segments"][sequence] == -1
        assert not read["mask"][sequence, rest].any() and (read["tokens"][sequence, rest] == 7).all()
        assert rest.sum() == 20 - sum(len(rows[read["rows"][member]][0]) - 1 for member in members)
    assert used == counts["places"] == sum(len(ids) - 1 for ids, _ in rows)


def test_a_million_rows_take_moments() -> None:
    lengths = np.random.default_rng(1).geometric(0.004, 1_000_000).clip(1, 4096)
    bins = first_fit_decreasing(lengths, 4096)
    assert sum(map(len, bins)) == 1_000_000
    assert len(bins) <= np.ceil(lengths.sum() / 4096) * 1.01


def test_a_file_of_rows(model: Path, tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    rows = [{"input": WORDS * int(draw.integers(1, 4)), "output": f"{number} {WORDS}"} for number in range(3000)]
    rows[5]["output"] = WORDS * 100
    (tmp_path / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    for workers in (1, 2, 3):
        pack_file(tmp_path / "rows.jsonl", model, "{input}\n{output}", 512, tmp_path / str(workers), workers)
    for file in (tmp_path / "1").iterdir():
        assert len({(tmp_path / str(workers) / file.name).read_bytes() for workers in (1, 2, 3)}) == 1, file.name
    report = orjson.loads((tmp_path / "1" / "report.json").read_bytes())
    assert report["rows"] == 2999 and report["too long"] == 1
    assert report["places"] / report["room"] > 0.9
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    assert (
        np.load(tmp_path / "1" / "mask.npy").sum()
        == report["trained"]
        == sum(len(processor.encode(row["output"])) + 1 for row in rows if row is not rows[5])
    )


def test_bad_rows_have_a_name(model: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n{"input": "a"}\n')
    with pytest.raises(MalformedRow, match="rows.jsonl, line 2"):
        pack_file(tmp_path / "rows.jsonl", model, "{input}\n{output}", 512, tmp_path / "out", 1)
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b b b b b b b b b b"}\n')
    with pytest.raises(EmptyCorpus, match="no row of at most 8"):
        pack_file(tmp_path / "rows.jsonl", model, "{input}\n{output}", 8, tmp_path / "out", 1)
