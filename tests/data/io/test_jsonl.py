"""JSON Lines are written in one form, and malformed lines are reported."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeout.data.errors import BadRow, NotEnoughData
from tapeout.data.io.jsonl import read_jsonl, read_texts, read_texts_by_source, write_jsonl
from tapeout.data.io.text import beginning

pytestmark = pytest.mark.environment("data")


def test_written_lines_are_canonical(tmp_path: Path) -> None:
    assert write_jsonl(tmp_path / "a.jsonl", [{"b": "ü", "a": 1}]) == 1
    assert (tmp_path / "a.jsonl").read_bytes() == '{"a":1,"b":"ü"}\n'.encode()
    assert list(read_jsonl(tmp_path / "a.jsonl", ("b",))) == [{"a": 1, "b": "ü"}]


def test_a_failing_write_leaves_no_file(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_jsonl(tmp_path / "a.jsonl", rows())
    assert list(tmp_path.iterdir()) == []
    write_jsonl(tmp_path / "a.jsonl", [{"a": 1}])
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"text": "a"}\n{"text": "b"\n', 2),
        ('{"text": "a"}\n\n{"text": "b"}\n', 2),
        ('{"text": "a"}\n["text"]\n', 2),
        ('{"text": "a"}\n{"txt": "b"}\n', 2),
        ('{"text": 3}\n', 1),
        ('{"text": "\ud800"}\n', 1),
    ],
)
def test_malformed_rows_are_reported_with_their_line(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(BadRow, match=rf"rows\.jsonl, line {line}:"):
        list(read_jsonl(path, ("text",)))


def test_empty_lines_at_the_end_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n\n\n')
    assert len(list(read_jsonl(tmp_path / "rows.jsonl"))) == 1


def test_texts_by_source_are_sorted_by_name(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text":"b1","source":"b"}\n{"text":"a","source":"a"}\n{"text":"b2","source":"b"}\n')
    assert list(read_texts_by_source(path).items()) == [("a", ["a"]), ("b", ["b1", "b2"])]


def test_bad_corpora_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text":"fine"}\n{"txt":"no"}\n')
    with pytest.raises(BadRow, match="line 2"):
        read_texts(path)
    path.write_text('{"text":""}\n')
    with pytest.raises(NotEnoughData, match="corpus.jsonl has no text"):
        read_texts(path)


def test_a_beginning_ends_at_a_line_or_character() -> None:
    assert beginning("ab\ncd\nef", 100) == "ab\ncd\nef"
    assert beginning("ab\ncd\nef", 7) == "ab\ncd\n" == beginning("ab\ncd\nef", 6)
    assert beginning("éééé", 5) == "éé"
    assert beginning("äöüß", 3) == "ä"
