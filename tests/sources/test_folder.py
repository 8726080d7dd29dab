"""A local folder as a source: selected files, digest, refused links and the copy."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.sources.errors import SourceMissing, WrongContent
from tapeout.sources.kinds.file import Source as FileSource
from tapeout.sources.kinds.folder import Source as FolderSource
from tapeout.sources.kinds.folder import tree_digest
from tests.sources.fetching import fetch_source
from tests.sources.server import sha256

pytestmark = pytest.mark.environment("data")

FILES = {"a.txt": b"one", "deep/er/b.jsonl": b'{"text": "x"}\n', "deep/c.v": b"module m; endmodule", "d": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "texts", FILES)


def filled(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def record(folder: Path, **changes: object) -> FolderSource:
    return FolderSource.model_validate({"kind": "folder", "path": str(folder), "licence": "own", **changes})


def digest(source: FolderSource) -> str:
    return tree_digest({name: sha256(path.read_bytes()) for name, path in source.local_files().items()})


def test_the_files_are_copied_with_their_paths(folder: Path, tmp_path: Path) -> None:
    (folder / "empty").mkdir()
    source = record(folder, sha256=digest(record(folder)))
    fetch_source(source, tmp_path / "out", tmp_path / "downloads")
    made = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in made} == FILES
    assert list(source.local_files()) == sorted(FILES) and not (tmp_path / "downloads").exists()


def test_folders_that_lie_too_deep_are_named(folder: Path) -> None:
    filled(folder, {"ok/" + "d/" * 199 + "a.v": b"a"})
    assert len(record(folder).local_files()) == len(FILES) + 1
    filled(folder, {"odd/" + "d/" * 200 + "a.v": b"a"})
    with pytest.raises(WrongContent, match="More than 200 folders lie in each other below .*/texts/odd"):
        record(folder).local_files()


def test_patterns_choose(folder: Path) -> None:
    assert list(record(folder, include=["*.txt", "/deep/*.v"]).local_files()) == ["a.txt", "deep/c.v"]
    assert list(record(folder, exclude=["/deep/*"]).local_files()) == ["a.txt", "d"]


def test_the_digest_is_that_of_paths_and_contents(folder: Path, tmp_path: Path) -> None:
    first = digest(record(folder))
    os.utime(folder / "a.txt", (1, 1))
    (folder / "a.txt").chmod(0o600)
    other = filled(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    assert digest(record(folder)) == digest(record(other)) == first
    (other / "a.txt").write_bytes(b"two")
    edited = digest(record(other))
    (other / "a.txt").write_bytes(b"one")
    (other / "a.txt").rename(other / "e.txt")
    renamed = digest(record(other))
    (other / "e.txt").unlink()
    assert len({first, edited, renamed, digest(record(other))}) == 4


@given(st.dictionaries(st.text(min_size=1), st.text()), st.randoms())
def test_no_order_enters_the_digest(digests: dict[str, str], chance: random.Random) -> None:
    shuffled = list(digests.items())
    chance.shuffle(shuffled)
    assert tree_digest(dict(shuffled)) == tree_digest(digests)


def test_a_file_that_was_edited_since_is_noticed(folder: Path, tmp_path: Path) -> None:
    source = record(folder, sha256=digest(record(folder)))
    (folder / "a.txt").write_bytes(b"edited")
    with pytest.raises(WrongContent, match="texts has SHA-256"):
        fetch_source(source, tmp_path / "out", tmp_path / "downloads")


def link_to_file(folder: Path) -> None:
    (folder / "link").symlink_to("a.txt")


def link_to_folder(folder: Path) -> None:
    (folder / "link").symlink_to("deep")


def dangling_link(folder: Path) -> None:
    (folder / "link").symlink_to("nowhere")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "link")


def strange_name(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/l\xe4nk"))).write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (link_to_file, "'link' .* is a link"),
        (link_to_folder, "'link' .* is a link"),
        (dangling_link, "'link' .* is a link"),
        (pipe, "'link' .* not a regular file"),
        (strange_name, "not UTF-8"),
    ],
)
def test_links_and_special_files_are_refused(folder: Path, spoil: object, words: str) -> None:
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(WrongContent, match=words):
        record(folder).local_files()
    assert list(record(folder, exclude=["/l*nk"]).local_files()) == sorted(FILES)


@pytest.mark.parametrize("name", ["a\nb.v", "9.41\u202fAM.v", "a\u00a0b.v", "\x1b[31m.v"])
def test_names_that_no_result_can_have_are_refused(name: str, folder: Path) -> None:
    (folder / "deep" / name).write_text("a")
    with pytest.raises(WrongContent, match="cannot be printed"):
        record(folder).local_files()
    file = FileSource.model_validate({"kind": "file", "path": str(folder / "deep" / name), "licence": "own"})
    with pytest.raises(WrongContent, match="cannot be printed"):
        file.pinned(lambda paths: [sha256(path.read_bytes()) for path in paths])


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path, folder: Path) -> None:
    for path, words in [(tmp_path / "none", "There is no folder"), (folder / "a.txt", "There is no folder")]:
        with pytest.raises(SourceMissing, match=words):
            record(path).local_files()
    with pytest.raises(SourceMissing, match="No file of the folder"):
        record(folder, include=["*.vhd"]).local_files()


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert digest(record(tmp_path / "link")) == digest(record(folder))
