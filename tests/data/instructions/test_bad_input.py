"""Bad input of every kind is a named error or a counted drop, as configured."""

import gzip
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tapeout.data.errors import BadRow, NotEnoughData, UnreadableFile
from tapeout.data.instructions.instruction_set import write_set
from tests.data.instructions.material import contents, job, make_set, write_lines

pytestmark = pytest.mark.environment("corpus")

ROOT = Path(__file__).parents[3]
ROW = {"instruction": "What is a latch?", "context": "", "response": "Storage.", "category": "qa"}
GOOD = json.dumps(ROW).encode() + b"\n"
LINES = "rows.jsonl"


def row(**changes: Any) -> bytes:
    return json.dumps({**ROW, **changes}).encode() + b"\n"


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in ROW.items() if key != name}).encode() + b"\n"


def parquet(table: pyarrow.Table) -> bytes:
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written)
    return written.getvalue()


def columns(**changes: Any) -> dict[str, Any]:
    return {**{name: [value, value] for name, value in ROW.items()}, **changes}


@dataclass(frozen=True)
class Bad:
    """Content of a file that is bad in part or entirely.

    Attributes:
        reason: under which rows are counted; of a file that is broken, what the error says.
        content: of the file.
        name: of the file.
        kept: rows that are left with ``bad_rows: drop``; None where the file as a whole is broken.
    """

    reason: str
    content: bytes
    name: str = LINES
    kept: int | None = 1


NOT_UTF_8 = pyarrow.array([b"ok", b"\xff\xfe"], pyarrow.binary()).view(pyarrow.string())
SQUARE = b"[" * 2000 + b"]" * 2000
BAD = {
    # lines
    "no JSON": Bad("not JSON", b"{instruction: 1}\n" + GOOD),
    "half an object": Bad("not JSON", GOOD + GOOD[:30]),
    "two objects on a line": Bad("not JSON", GOOD.strip() + GOOD + row(instruction="b")),
    "a number": Bad("the row is not an object", b"7\n" + GOOD),
    "null": Bad("the row is not an object", b"null\n" + GOOD),
    "a list": Bad("the row is not an object", b"[1]\n" + GOOD),
    "a text": Bad("the row is not an object", b'"x"\n' + GOOD),
    "NaN": Bad("not JSON", row(more=float("nan")) + GOOD),
    "Infinity": Bad("not JSON", row(more=float("inf")) + GOOD),
    "a single quote": Bad("not JSON", b"{'instruction': 'x'}\n" + GOOD),
    "a comma too many": Bad("not JSON", b'{"instruction": "x",}\n' + GOOD),
    "a control character in a text": Bad("not JSON", b'{"instruction": "a\x01b"}\n' + GOOD),
    "an unknown escape": Bad("not JSON", b'{"instruction": "\\x41"}\n' + GOOD),
    "a key twice": Bad("a key is repeated", b'{"instruction": "a", "instruction": "b"}\n' + GOOD),
    "a key twice further down": Bad("a key is repeated", b'{"more": [{"a": 1, "a": 1}]}\n' + GOOD),
    "nested without end": Bad("not JSON", SQUARE + b"\n" + GOOD),
    "nested deeply": Bad("nested too deeply", b"[" * 1010 + b"]" * 1010 + b"\n" + GOOD),
    "an empty line": Bad("the line is empty", GOOD + b"\n" + row(instruction="b"), kept=2),
    "blanks": Bad("the line is empty", b"  \t\n" + GOOD),
    "a line that is too long": Bad("the row is longer than max_row_bytes", row(more="x" * 200_000) + GOOD),
    "a line that is too long, at the end": Bad(
        "the row is longer than max_row_bytes", GOOD + row(more="x" * 200_000)[:-1]
    ),
    # encodings
    "Latin-1": Bad("not UTF-8", '{"instruction": "naïve"}\n'.encode("latin-1") + GOOD),
    "mixed encodings": Bad("not UTF-8", row(response="é") + '{"instruction": "\u20ac"}\n'.encode("cp1252")),
    "half a character": Bad("not UTF-8", b'{"instruction": "\xc3"}\n' + GOOD),
    "a surrogate in bytes": Bad("not UTF-8", b'{"instruction": "\xed\xa0\x80"}\n' + GOOD),
    "a lone leading surrogate": Bad("lone surrogate", b'{"instruction": "\\ud83d"}\n' + GOOD),
    "a lone trailing surrogate": Bad("lone surrogate", b'{"instruction": "\\ude00 x"}\n' + GOOD),
    "a NUL byte": Bad("not JSON", b'{"instruction": "a\x00b"}\n' + GOOD),
    "an escaped NUL": Bad("NUL character in a text", row(response="a\0b") + GOOD),
    "a byte-order mark in the middle": Bad("not JSON", GOOD + b"\xef\xbb\xbf" + GOOD),
    "UTF-16": Bad("it is UTF-16", GOOD.decode().encode("utf-16"), kept=None),
    "UTF-16, big-endian": Bad("it is UTF-16", b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), kept=None),
    # fields
    "no instruction": Bad("the row has no field 'instruction'", without("instruction") + GOOD),
    "no response": Bad("the row has no field 'response'", without("response") + GOOD),
    "no context": Bad("the row has no field 'context'", without("context") + GOOD),
    "no category": Bad("the row has no field 'category'", without("category") + GOOD),
    "a number as response": Bad("field 'response' of the row is not a text", row(response=4) + GOOD),
    "null as response": Bad("field 'response' of the row is not a text", row(response=None) + GOOD),
    "a list as instruction": Bad("field 'instruction' of the row is not a text", row(instruction=["a"]) + GOOD),
    "an object as context": Bad("field 'context' of the row is not a text", row(context={}) + GOOD),
    "true as category": Bad("field 'category' of the row is not a text", row(category=True) + GOOD),
    "blank instruction": Bad("field 'instruction' of the row is empty", row(instruction=" \n ") + GOOD),
    "invisible response": Bad("field 'response' of the row is empty", row(response="\u200b\ufeff") + GOOD),
    "filler as response": Bad("field 'response' of the row is empty", row(response="\u3164\u2800\ufe0f") + GOOD),
    "empty response": Bad("field 'response' of the row is empty", row(response="") + GOOD),
    "another schema": Bad("the row has no field 'instruction'", b'{"text": "x"}\n' + GOOD),
    # files
    "an empty file": Bad("the file is empty", b"", kept=None),
    "gzip that is cut off": Bad("damaged or truncated", gzip.compress(GOOD * 99)[:-20], "rows.jsonl.gz", None),
    "gzip with a wrong sum": Bad("damaged or truncated", gzip.compress(GOOD)[:-8] + bytes(8), "rows.jsonl.gz", None),
    "no gzip": Bad("damaged or truncated", GOOD, "rows.jsonl.gz", None),
    "gzip under a plain name": Bad("compressed with gzip", gzip.compress(GOOD), LINES, None),
    "empty gzip": Bad("the file is empty", gzip.compress(b""), "rows.jsonl.gz", None),
    "an unknown file type": Bad("its type .xlsx is unknown", b"PK", "rows.xlsx", None),
    "JSON that is cut off": Bad("not JSON", b'[{"instruction": "a"}', "rows.json", None),
    "JSON with a key twice": Bad("a key is repeated", b'[{"a": 1, "a": 2}]', "rows.json", None),
    "a JSON file that is not a list": Bad("the row has no field 'instruction'", b'{"rows": []}', "rows.json", 0),
    "JSON in Latin-1": Bad("not UTF-8", '["é"]'.encode("latin-1"), "rows.json", None),
    # CSV
    "CSV with a field too few": Bad(
        "wrong number of fields", b"instruction,context,response,category\na,,b\na,,b,c\n", "r.csv"
    ),
    "CSV with a field too many": Bad(
        "wrong number of fields", b"instruction,context,response,category\na,,b,c,d\na,,b,c\n", "r.csv"
    ),
    "CSV without a column": Bad("the row has no field 'category'", b"instruction,context,response\na,,b\n", "r.csv", 0),
    "CSV with a column twice": Bad("must name every column once", b"response,response\na,b\n", "r.csv", None),
    "CSV without a header": Bad("must name every column once", b",,,\n", "r.csv", None),
    "CSV files, one appended to the other": Bad(
        "the names of the columns are repeated",
        (b"\xef\xbb\xbfinstruction,context,response,category\n" + b"%s,,b,c\n") * 2 % (b"a", b"b"),
        "r.csv",
        kept=2,
    ),
    "CSV with an open quote": Bad("it is not CSV", b'instruction,context,response,category\na,,b,"c\n', "r.csv", None),
    "CSV with letters behind a quote": Bad(
        "it is not CSV", b'instruction,context,response,category\n"a"b,,b,c\n', "r.csv", None
    ),
    "CSV with a blank before a quote": Bad(
        "a blank between the comma and the quote, which then quotes nothing",
        b'instruction, context, response, category\na, "b", "x", "c"\n" ""a"" ", b, c,d\n',
        "r.csv",
    ),
    "CSV in Latin-1": Bad(
        "not UTF-8", "instruction,context,response,category\né,,b,c\na,,b,c\n".encode("latin-1"), "r.csv"
    ),
    "CSV with a NUL": Bad(
        "NUL character in a text", b"instruction,context,response,category\na\0,,b,c\na,,b,c\n", "r.csv"
    ),
    "CSV with a field that is too long": Bad(
        "it is not CSV", b"instruction,context,response,category\n" + b"x" * 200_000 + b",,b,c\n", "r.csv", None
    ),
    # parquet
    "no parquet": Bad("it is not parquet", b"PAR1 no", "r.parquet", None),
    "parquet that is cut off": Bad("it is not parquet", parquet(pyarrow.table(columns()))[:-9], "r.parquet", None),
    "parquet with a damaged page": Bad(
        "it is not parquet", b"PAR1" + bytes(60) + parquet(pyarrow.table(columns()))[64:], "r.parquet", None
    ),
    "parquet with numbers": Bad(
        "field 'response' of the row is not a text", parquet(pyarrow.table(columns(response=[1, 2]))), "r.parquet", 0
    ),
    "parquet with a null": Bad(
        "field 'response' of the row is not a text", parquet(pyarrow.table(columns(response=["a", None]))), "r.parquet"
    ),
    "parquet with bytes": Bad(
        "field 'response' of the row is not a text",
        parquet(pyarrow.table(columns(response=[b"a", b"b"]))),
        "r.parquet",
        0,
    ),
    "parquet without a column": Bad(
        "the row has no field 'category'",
        parquet(pyarrow.table({"instruction": ["a"], "context": ["a"], "response": ["b"]})),
        "r.parquet",
        0,
    ),
    "parquet with text that is not UTF-8": Bad(
        "not UTF-8", parquet(pyarrow.table(columns(response=NOT_UTF_8))), "r.parquet"
    ),
    "parquet with a column twice": Bad(
        "columns have the same name",
        parquet(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, ["a", "a"])),
        "r.parquet",
        None,
    ),
    "parquet packed with gzip": Bad(
        "it is not parquet", gzip.compress(parquet(pyarrow.table(columns()))), "r.parquet.gz", None
    ),
}
OPTIONS = {"max_row_bytes": 100_000, "split": {"validation": 0, "test": 0}}


def test_more_than_seventy_kinds_are_covered() -> None:
    assert len(BAD) > 70


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_input_is_named_or_counted(bad: Bad, tmp_path: Path) -> None:
    folder, output = tmp_path / "source", tmp_path / "output"
    folder.mkdir()
    (folder / bad.name).write_bytes(bad.content)
    error = UnreadableFile if bad.kept is None else BadRow
    with pytest.raises(error) as found:
        write_set({"given": folder}, job("prompt_response", **OPTIONS), output)
    assert bad.reason in str(found.value) and bad.name in found.value.cause and "\n  fix: " in str(found.value)
    assert str(tmp_path) not in str(found.value)
    assert not output.exists()
    if bad.kept is None:
        with pytest.raises(UnreadableFile):
            write_set({"given": folder}, job("prompt_response", bad_rows="drop", **OPTIONS), output)
    elif bad.kept == 0:
        with pytest.raises(NotEnoughData, match="has no row"):
            write_set({"given": folder}, job("prompt_response", bad_rows="drop", **OPTIONS), output)
    else:
        splits, report = make_set(folder, output, "prompt_response", bad_rows="drop", **OPTIONS)
        assert len(splits["train"]) == bad.kept
        assert set(report["dropped"]) == {bad.reason}
        assert report["dropped"][bad.reason]["first"][0].startswith(f"{bad.name}, ")
        return
    assert not output.exists()


def test_a_line_of_100_mb_is_dropped_in_little_memory(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    with (folder / LINES).open("wb") as stream:
        stream.write(GOOD + b'{"instruction": "')
        for _ in range(100):
            stream.write(b"x" * 1_000_000)
        stream.write(b'"}\n' + row(instruction="b"))
    program = (
        "import sys; from pathlib import Path; from tests.data.instructions.material import contents;"
        "rows, counts = contents(Path(sys.argv[1]), 'prompt_response', bad_rows='drop', max_row_bytes=1000000);"
        "print(len(rows), dict(counts.dropped), Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True, env=environment()
    )
    rows, _, rest = done.stdout.partition(" ")
    assert rows == "2" and "{'the row is longer than max_row_bytes': 1}" in rest
    assert int(rest.split()[-1]) < 300 * 1024


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_missing_column_is_named_with_the_existing_ones(tmp_path: Path) -> None:
    many = b"question,answer," + b",".join(b"c%d" % number for number in range(20))
    (tmp_path / "r.csv").write_bytes(many + b"\n" + b"a," * 21 + b"a\n")
    found = r"no field 'instruction' \(it has 'question', 'answer', 'c0', .* 14 more\)\.\n +fix: .*fields of this set"
    with pytest.raises(BadRow, match=found):
        make_set(tmp_path, tmp_path / "out", "prompt_response")


def test_sets_without_a_row(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, options in (
        (tmp_path / "empty", {}),
        (write_lines(tmp_path / "other", [ROW]), {"files": "*.csv"}),
        (write_lines(tmp_path / "bad", [1, 2]), {"bad_rows": "drop"}),
    ):
        with pytest.raises(NotEnoughData):
            write_set({"given": folder}, job("prompt_response", **options), tmp_path / "out")
    (tmp_path / "other" / "a.jsonl").write_bytes(b"\n\n")
    assert contents(tmp_path / "other", "prompt_response")[1].dropped == {"file without a row": 1}
    with pytest.raises(NotEnoughData, match="counts: exact"):
        write_set({"given": tmp_path / "other"}, job("prompt_response"), tmp_path / "out")
    with pytest.raises(NotEnoughData, match=r"Add rows in other groups") as error:
        write_set({"given": tmp_path / "other"}, job("prompt_response", split={"counts": "exact"}), tmp_path / "out")
    assert "counts: exact" not in str(error.value)
    assert not (tmp_path / "out").exists()


def script(folder: Path, name: str, content: bytes, **options: Any) -> tuple[subprocess.CompletedProcess[str], Path]:
    source, output = folder / "source", folder / "output"
    source.mkdir()
    (source / name).write_bytes(content)
    (folder / "params.json").write_text(job("prompt_response", **options).model_dump_json())
    inputs = ["--sources", source, "--params", folder / "params.json", "--output", output]
    command = [sys.executable, "scripts/instructions.py", *inputs]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment()), output


def test_the_script_prints_what_is_dropped(tmp_path: Path) -> None:
    content = GOOD + without("response") * 2 + b"{\n"
    done, output = script(tmp_path, LINES, content, bad_rows="drop", split={"validation": 0, "test": 0})
    assert done.returncode == 0 and output.is_dir()
    assert "dropped            2  the row has no field 'response', rows.jsonl, line 2\n" in done.stdout
    assert "dropped            1  not JSON, rows.jsonl, line 4\n" in done.stdout


@pytest.mark.parametrize("name", ["no JSON", "gzip that is cut off", "no parquet"])
def test_the_script_prints_cause_and_fix(name: str, tmp_path: Path) -> None:
    bad = BAD[name]
    done, output = script(tmp_path, bad.name, bad.content)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2 and "Traceback" not in done.stderr
    assert not output.exists()


def test_parquet_and_json_lines_give_the_same_rows(tmp_path: Path) -> None:
    rows = [{**ROW, "instruction": f"Ask {number}"} for number in range(3000)]
    wanted, _ = contents(write_lines(tmp_path / "a", rows), "prompt_response")
    (tmp_path / "b").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "b" / "rows.parquet")
    assert contents(tmp_path / "b", "prompt_response")[0] == wanted


def test_parquet_without_arrow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([ROW]), tmp_path / "rows.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnreadableFile, match=r"rows\.parquet cannot be read: pyarrow, which reads parquet, is not in"):
        contents(tmp_path, "prompt_response")


def test_squad_and_messages_in_parquet(tmp_path: Path) -> None:
    question = {
        "id": "1",
        "title": "Units",
        "context": "It is 3 nm.",
        "question": "How long?",
        "answers": {"text": ["3 nm"], "answer_start": [6]},
    }
    talk = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for format, value in (("squad", question), ("messages", talk)):
        wanted, _ = contents(write_lines(tmp_path / f"{format}-lines", [value]), format)
        (tmp_path / format).mkdir()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([value]), tmp_path / format / "rows.parquet")
        assert contents(tmp_path / format, format)[0] == wanted and len(wanted) == 1
