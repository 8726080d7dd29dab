"""Comparison of artifacts: kinds of files, archives, damaged files, artifacts in the store."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tapeout.compare import archives
from tapeout.compare.artifacts import Comparison, FileDifference, compare
from tapeout.compare.file_comparison import Level
from tapeout.config.comparison import Bounds
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.identity.action import Action
from tests.compare.material import Files, compared, place


def tar(members: dict[str, bytes], mode: str = "w", order: int = 1, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, data in sorted(members.items())[::order]:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(data), kind
            entry.linkname = "" if kind == tarfile.REGTYPE else "/etc/passwd"
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def reasons(result: Comparison) -> dict[str, tuple[str, str, str]]:
    return {file.path: (file.kind, file.level.value, file.reason) for file in result.files}


def test_equal_artifacts_are_equal_bytes(tmp_path: Path) -> None:
    result = compared(tmp_path, {"a": "1", "b/c.json": "{}"}, {"a": "1", "b/c.json": "{}"})
    assert result == Comparison(Level.BYTES, 2, ())


def test_files_are_compared_by_kind_and_the_worst_level_counts(tmp_path: Path) -> None:
    same = {"NOTICE": "text", "deep/er/a.bin": b"\0"}
    old: Files = {
        **same,
        "a.json": '{"x": 1}',
        "b.json": '{"x": 1.0}',
        "c.jsonl": '{"x": 1}\n',
        "d.txt": "a\n",
        "gone": "",
    }
    new: Files = {
        **same,
        "a.json": '{ "x":1}',
        "b.json": '{"x": 1.0001}',
        "c.jsonl": '{"x": 2}\n',
        "d.txt": "b\n",
        "new": "",
    }
    result = compared(tmp_path, old, new)
    assert result.level is Level.NONE and result.same == 2
    assert reasons(result) == {
        "a.json": ("file", "values", "the same values, written differently"),
        "b.json": ("json", "metrics", "1 value changed within the bounds"),
        "c.jsonl": ("rows", "none", "1 row changed"),
        "d.txt": ("text", "none", "1 line added, 1 line removed"),
        "gone": ("file", "none", "removed"),
        "new": ("file", "none", "added"),
    }


def test_the_level_of_an_artifact_that_is_one_file(tmp_path: Path) -> None:
    for number, (old, new, level) in enumerate(
        [
            ('{"x": 1}', '{"x":1}', Level.VALUES),
            ('{"x": 1.0}', '{"x": 1.0002}', Level.METRICS),
            ("{}", "[]", Level.NONE),
        ]
    ):
        result = compared(tmp_path / str(number), old, new, name="evaluation/base.json")
        assert result.level is level and [file.path for file in result.files] == [""]


def test_an_executable_bit_is_a_difference_of_bytes(tmp_path: Path) -> None:
    old, new = place(tmp_path / "old", {"run": "x"}), place(tmp_path / "new", {"run": "x"})
    (tmp_path / "new" / "artifact" / "run").chmod(0o755)
    new = place(tmp_path / "new", {"run": "x"})
    assert compare(old, new, Bounds(), tmp_path).level is Level.VALUES


def test_the_level_of_a_page_depends_on_the_json_file_of_the_same_name(tmp_path: Path) -> None:
    old: Files = {"report.html": "<p>loss 1.0001</p>", "report.json": '{"loss": 1.0001}'}
    new: Files = {"report.html": "<p>loss 1.0002</p>", "report.json": '{"loss": 1.0002}'}
    assert compared(tmp_path / "1", old, new).level is Level.METRICS
    other: tuple[Files, Files] = ({**old, "numbers.csv": "a,1.0001\n"}, {**new, "numbers.csv": "a,1.0002\n"})
    assert compared(tmp_path / "csv", *other).level is Level.METRICS
    other[1]["numbers.csv"] = "b,1.0002\n"
    assert compared(tmp_path / "named", *other).level is Level.NONE
    strict = Bounds.model_validate({"floats": {"relative": 0}})
    assert compared(tmp_path / "2", old, new, strict).level is Level.NONE
    alone = {"report.html": "<p>1.0</p>"}, {"report.html": "<p>2.0</p>"}
    assert compared(tmp_path / "3", *alone).level is Level.NONE
    beside = {"report.html": "<p>1.0</p>", "report.json": "{}"}, {"report.html": "<p>2.0</p>", "report.json": "{}"}
    assert compared(tmp_path / "4", *beside).level is Level.NONE, "the numbers of an unchanged JSON did not change"


@pytest.mark.parametrize(
    ("name", "good", "bad", "remark"),
    [
        ("a.json", "{}\n", "{\n", "the new file is not JSON"),
        ("a.model", "\n\7\n\5<unk>", "broken", "is not a SentencePiece model"),
        ("a.tar", tar({"x": b"1"}), tar({"x": b"2"})[:200], "the new file is truncated"),
        ("a.zip", zipped({"x": b"1"}), zipped({"x": b"2"})[:-9], "the new file is not a zip archive"),
        ("a.nemo", tar({"x": b"1"}), tar({"../x": b"1"}), "contains '../x', a path"),
        ("a.tgz", tar({"x": b"1"}, "w:gz"), tar({"x": b""}, "w:gz", kind=tarfile.SYMTYPE), "contains a link"),
        ("a.zip", zipped({"x": b"1"}), zipped({"x": b"1", "./x": b"2"}), "contains 'x' twice"),
        ("a.zip", zipped({"x": b"1"}), zipped({"/x": b"1"}), "contains the absolute path '/x'"),
        ("a.tar", tar({"x": b"1"}), tar({"a\nb": b"1"}), "contains a name that is not printable"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isprintable() else "",
)
def test_a_damaged_file_is_compared_as_text_or_bytes_with_a_remark(
    tmp_path: Path, name: str, good: bytes, bad: bytes, remark: str
) -> None:
    for number, (old, new) in enumerate([(good, bad), (bad, good)]):
        result = compared(tmp_path / str(number), {name: old}, {name: new})
        kind, level, reason = reasons(result)[name]
        assert kind in ("text", "bytes") and level == "none" and remark.replace("new", ("new", "old")[number]) in reason


def test_archives_are_compared_member_by_member(tmp_path: Path) -> None:
    inner = zipped({"data.pkl": b"x" * 100})  # at the end of the tar, where zip programs look for their index
    old = {"context/a.json": b'{"x": 1}', "z.zip": inner}
    assert compared(tmp_path / "1", tar(old), tar(old, order=-1), name="base.nemo").level is Level.VALUES
    assert compared(tmp_path / "2", tar(old), tar(old, "w:gz"), name="base.tar").level is Level.VALUES
    result = compared(tmp_path / "3", tar(old), tar({**old, "context/a.json": b'{"x":2}', "n": b""}), name="base.nemo")
    assert result.files[0].reason == "2 members different, 1 member the same" and result.level is Level.NONE
    members = result.files[0].detail
    assert isinstance(members, Comparison) and list(reasons(members)) == ["context/a.json", "n"]
    assert compared(tmp_path / "4", zipped(old), tar(old), name="a.zip").level is Level.VALUES
    assert compared(tmp_path / "5", zipped({}), zipped({"a": b""}), name="a.whl").level is Level.NONE


def test_archives_in_archives_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number, and by the bytes that all of them unpack to together."""

    def difference(depth: int, size: int) -> FileDifference:
        contents = [bytes(size), b"1" * size]
        for _ in range(depth):
            contents = [zipped({"x.zip": content}) for content in contents]
        folder = tmp_path / f"{depth}-{size}"
        folder.mkdir()
        (file,) = compared(folder, *({"x.zip": content} for content in contents)).files
        return file

    def why(detail: Any) -> str:
        return " ".join(f"{file.reason} {why(file.detail)}" for file in getattr(detail, "files", ()))

    assert "other archives" not in why(difference(3, 100).detail)
    assert "inside 4 other archives" in why(difference(4, 100).detail)
    monkeypatch.setattr(archives, "MIN_UNPACKED", 1 << 16)
    monkeypatch.setattr(archives, "MAX_RATIO", 1)
    assert difference(1, 1 << 14).kind == "members"
    assert "at most" in why(difference(3, 1 << 15).detail)


def test_a_file_and_a_folder_and_different_suffixes(tmp_path: Path) -> None:
    result = compare(place(tmp_path, "x", "a.json"), place(tmp_path, {"x": "x"}, "b"), Bounds(), tmp_path)
    assert [(file.path, file.reason) for file in result.files] == [("", "removed"), ("x", "added")]
    places = place(tmp_path, "{}", "c.json"), place(tmp_path, "{ }", "d.txt")
    assert compare(*places, Bounds(), tmp_path).level is Level.NONE
    kept = place(tmp_path, "{}", "e.json"), place(tmp_path, "{ }", "e.json.0")
    assert compare(*kept, Bounds(), tmp_path).level is Level.VALUES


def test_artifacts_in_the_store(tmp_path: Path) -> None:
    places = []
    for text in ('{"x": 1.0}', '{"x": 1.5}'):
        result = place(tmp_path / "made", {"a.json": text, "b.tar": tar({"x": text.encode()})})
        action = Action({"artifact": "artifact", "text": text})
        result.store.seal(action, result.manifest, result.root or tmp_path)
        places.append(LocatedArtifact("digest", result.manifest, None, result.store))
    result = compare(*places, Bounds(), tmp_path)
    assert [file.kind for file in result.files] == ["json", "members"]


def test_the_limit_applies_to_every_kind(tmp_path: Path) -> None:
    old = {"a.json": json.dumps(list(range(50))), "b.txt": "\n".join("abcdefgh"), "c.jsonl": "1\n" * 9}
    new = {"a.json": json.dumps(list(range(1, 51))), "b.txt": "\n".join("ABCDEFGH"), "c.jsonl": "2\n" * 9}
    lengths = {}
    for limit in (3, None):
        for file in compared(tmp_path, old, new, limit=limit).files:
            shown = [value for value in vars(file.detail).values() if isinstance(value, tuple)]
            lengths[(file.path, limit)] = len(shown[0])
    assert lengths == {
        **{("a.json", 3): 3, ("b.txt", 3): 3, ("c.jsonl", 3): 3},
        **{("a.json", None): 50, ("b.txt", None): 19, ("c.jsonl", None): 18},
    }
