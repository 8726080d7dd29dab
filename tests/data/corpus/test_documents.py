"""Documents of a source: every form is read, and what is left out or repaired is counted."""

from pathlib import Path

import pytest

from tapeout.config.corpus import Selection
from tapeout.data.corpus.corpus import row
from tapeout.data.corpus.documents import Tally, read_source
from tests.data.io.test_archives import make_tar, make_zip

pytestmark = pytest.mark.environment("data")


def test_every_form_of_a_source_is_read(tmp_path: Path) -> None:
    make_zip(tmp_path / "core.whl", {"z/b.v": b"module b;\r\nendmodule", "a/latin.v": "// Jürgen".encode("latin-1")})
    (tmp_path / "rows.jsonl").write_text('{"text": "first row"}\n{"text": "second"}\n')
    (tmp_path / "plain.md").write_bytes(b"\xef\xbb\xbf# Title")
    (tmp_path / "binary.v").write_bytes(b"\0\1\2")
    (tmp_path / "empty.v").write_bytes(b" \n ")
    tally, selection = Tally(), Selection(include=("*",), min_characters=1)
    documents = {document.path: document.text for document in read_source("core", tmp_path, selection, tally)}
    assert documents == {
        "a/latin.v": "// Jürgen",
        "plain.md": "# Title",
        "rows.jsonl:1": "first row",
        "rows.jsonl:2": "second",
        "z/b.v": "module b;\nendmodule",
    }
    assert list(documents) == sorted(documents)
    assert tally.dropped == {"binary": 1, "link or special file": 1, "too short": 1}
    assert tally.repaired == {
        "byte-order mark, utf-8": 1,
        "line ends": 1,
        "not UTF-8, read as Windows-1252": 1,
    }


def test_patterns_and_size_select_files(tmp_path: Path) -> None:
    names = ("x/a.v", "coremark/b.v", "c.txt", "big.v")
    make_zip(tmp_path / "core.whl", {name: b"y" * (2000 if name == "big.v" else 100) for name in names})
    tally = Tally()
    selection = Selection(include=("*.v",), exclude=("*coremark*",), max_bytes=1999)
    assert [document.path for document in read_source("core", tmp_path, selection, tally)] == ["x/a.v"]
    assert tally.dropped == {"excluded": 1, "link or special file": 1, "other kind": 1, "too large": 1}


def test_archives_are_read_unless_they_are_excluded(tmp_path: Path) -> None:
    for name in ("kept.zip", "left/out.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_zip(tmp_path / name, {f"{name}.v": name.encode()})
    (tmp_path / "left" / "broken.zip").write_bytes(b"PK")
    tally, selection = Tally(), Selection(include=("*.v",), exclude=("*/left/*",), min_characters=1)
    assert [document.path for document in read_source("core", tmp_path, selection, tally)] == ["kept.zip.v"]
    assert tally.dropped == {"excluded": 2, "link or special file": 1}


def test_rows_are_read_unless_they_are_excluded(tmp_path: Path) -> None:
    for name in ("good.jsonl", "bad.jsonl"):
        (tmp_path / name).write_text('{"text": "a row"}\n')
    tally, selection = Tally(), Selection(include=("*.v",), exclude=("*/bad*",), min_characters=1)
    assert [document.path for document in read_source("core", tmp_path, selection, tally)] == ["good.jsonl:1"]
    assert tally.dropped == {"other kind": 1}


def test_links_in_archives_are_counted_if_their_names_are_selected(tmp_path: Path) -> None:
    make_tar(tmp_path / "core.tgz", {"a.v": b"module a; endmodule", "a.txt": b"text", "other.v/b.v": b"module b;"})
    for include, dropped in ((("*.v",), {"other kind": 1, "link or special file": 1}), (("*.txt",), {"other kind": 3})):
        tally = Tally()
        read_source("core", tmp_path, Selection(include=include, min_characters=1), tally)
        assert tally.dropped == dropped


def test_a_row_states_its_own_licence(tmp_path: Path) -> None:
    licences = ('"licence": "GPL-3.0-only"', '"Licenses": ["MIT", "ISC"]', '"licence": null')
    lines = "".join(f'{{"text": "row {number}", {licence}}}\n' for number, licence in enumerate(licences))
    (tmp_path / "rows.jsonl").write_text(lines)
    documents = read_source("prose", tmp_path, Selection(include=("*",), min_characters=1), Tally())
    assert [row(document, {"prose": "CC0-1.0"})["licence"] for document in documents] == [
        "GPL-3.0-only",
        "ISC AND MIT",
        "CC0-1.0",
    ]
