"""Search in both kinds of indexes, and prompts within a budget."""

import json
from pathlib import Path

import pytest

from tapeout.config.passages import DenseJob, PassagesJob
from tapeout.retrieval import bm25, dense
from tapeout.retrieval.errors import UnusableIndex
from tapeout.retrieval.passages import Passage, passages_of
from tapeout.retrieval.search import Searcher, prompt
from tests.retrieval.material import CACHE, FIFO, UART, row, tiny_embedder

pytestmark = pytest.mark.environment("serve")
TEXTS = {"fifo.v": FIFO, "uart.v": UART, "cache.v": CACHE}
JOB = DenseJob(splits=("test",), batch_size=4, threads=1)


def documents() -> list[Passage]:
    """Return each document as one passage."""
    job = PassagesJob(characters=512)
    return [passage for path, text in TEXTS.items() for passage in passages_of(row("core", path, text), job)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_embedder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("How wide is in_data of the fifo?", "fifo.v"),
        ("Which port is tx?", "uart.v"),
        ("How many WAYS are there?", "cache.v"),
        ("data", "fifo.v"),
    ],
)
def test_bm25_finds_the_document_with_the_words(tmp_path: Path, question: str, path: str) -> None:
    bm25.build(documents(), tmp_path / "index")
    found = Searcher(tmp_path / "index").search(question, 2)
    assert found[0].path == path and len(found) == 2


def test_words_are_identifiers_and_their_parts() -> None:
    assert list(bm25.words("assign serv_csr = 8'hFF + _x;")) == [
        *("assign", "serv_csr", "serv", "csr", "8", "hff", "_x"),
    ]


def test_passages_without_a_word_of_the_question_have_the_order_of_the_index(tmp_path: Path) -> None:
    bm25.build(documents(), tmp_path / "index")
    searcher = Searcher(tmp_path / "index")
    assert [hit.position for hit in searcher.rank(["nothing_of_this"], 3)[0]] == [0, 1, 2]
    assert searcher.rank(["?"], 3) == [[(0, 0.0), (1, 0.0), (2, 0.0)]]
    assert searcher.rank(["nothing_of_this fifo"], 1) == searcher.rank(["fifo"], 1)


def test_bm25_has_the_bytes_of_its_passages_in_any_process(tmp_path: Path) -> None:
    for name in ("one", "two"):
        bm25.build(documents(), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 4 and all(
        (tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files
    )
    vocabulary = json.loads((tmp_path / "one/bm25/vocab.index.json").read_text())
    assert list(vocabulary) == sorted(vocabulary)


def test_a_dense_index_finds_a_text_by_itself_and_needs_nothing_else(tmp_path: Path, model: Path) -> None:
    dense.build(documents(), model, JOB, tmp_path / "made")
    dense.build(documents(), model, JOB, tmp_path / "again")
    assert (tmp_path / "made" / dense.VECTORS).read_bytes() == (tmp_path / "again" / dense.VECTORS).read_bytes()
    (tmp_path / "made").rename(tmp_path / "moved")
    searcher = Searcher(tmp_path / "moved")
    for number, passage in enumerate(documents()):
        hits = searcher.rank([passage.searched], 3)[0]
        assert hits[0].position == number and hits[0].score == pytest.approx(1, abs=1e-5)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_what_is_no_index_is_a_named_error(tmp_path: Path, model: Path) -> None:
    with pytest.raises(UnusableIndex, match="is not an index of passages"):
        Searcher(tmp_path)
    with pytest.raises(UnusableIndex, match="no passage to index"):
        bm25.build([], tmp_path / "empty")
    bm25.build(documents(), tmp_path / "short")
    lines = (tmp_path / "short/passages.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "short/passages.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(UnusableIndex, match="has 2 passages"):
        Searcher(tmp_path / "short")
    dense.build(documents(), model, JOB, tmp_path / "dense")
    (tmp_path / "dense/passages.jsonl").write_text("".join(lines[:-1]))
    (tmp_path / "dense/index.json").write_text('{"method": "dense", "passages": 2}')
    with pytest.raises(UnusableIndex, match="no vector of each passage"):
        Searcher(tmp_path / "dense")
    (tmp_path / "dense/index.json").write_text('{"method": "magic", "passages": 2}')
    with pytest.raises(UnusableIndex, match="unknown method magic"):
        Searcher(tmp_path / "dense")


def test_a_prompt_has_the_best_passages_that_fit_and_ends_with_the_question() -> None:
    passages, words = documents(), lambda text: len(text.split())
    everything = prompt("How wide is in_data?", passages, words, 1000)
    assert everything.endswith("\n\nHow wide is in_data?") and "[3] core/cache.v" in everything
    assert all(passage.text.strip() in everything for passage in passages)
    budgets = [prompt("How wide is in_data?", passages, words, budget) for budget in range(3, 200)]
    assert all(words(text) <= max(budget, 4) for budget, text in enumerate(budgets, start=3))
    assert budgets[0] == "How wide is in_data?" and budgets[-1] == everything
    assert sorted(budgets, key=len) == budgets and len(set(budgets)) == 4
