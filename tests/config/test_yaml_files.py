"""Files that cannot be read, and values that YAML reads differently from what was meant: named, with the line."""

import os
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.utils import update_config

from tapeout.config.load import load_files, load_site
from tapeout.config.problems import InvalidConfig
from tapeout.config.yaml_files import merge, read_file

ROOT = Path(__file__).parents[2]
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"own: {kind: file}\nown: {kind: file}\n", ", line 2: the key own is repeated; it is first in line 1."),
        (b"own: {kind: file, path: a, path: b, licence: x}", ", line 1: the key path is repeated"),
        (b'{"own":\n\t{"kind": "file", "kind": "url"}}', ", line 2: the key kind is repeated"),
        (b"own: [\n", ", line 2: this is not YAML: the file ends too early, or a bracket is not closed"),
        (b"own: [a\nb: c\n", "is not closed"),
        (b"own:\n\tkind: file\n", ", line 2: this is not YAML: a tab cannot indent"),
        (b"own:\n  a: 1\n b: 2\n", ", line 3: this is not YAML: the indentation differs"),
        (b"own: a: b\n", ', line 1: this is not YAML: a ":" is not expected here'),
        (b'own: "a\n', "this is not YAML: a quotation mark is not closed"),
        (b"own: *a\n", ", line 1: this is not YAML: an alias (*name) has no anchor"),
        (b"own: 1\n---\nown: 2\n", ", line 2: this is not YAML: a second document begins"),
        (b"own: @a\n", ", line 1: this is not YAML: this character cannot begin a value"),
        (b"own: !!python/object:os.system x\n", ", line 1: this is not YAML: a tag (!name) is not allowed"),
        (b"? [a, b]\n: x\n", "a list or section cannot be a key"),
        (b"- own\n", "own.yaml does not consist of keys with values"),
        (b"own", "own.yaml does not consist of keys with values"),
        (b"3", "own.yaml does not consist of keys with values"),
        (b"", "own.yaml is empty"),
        (b"# nothing\n", "own.yaml is empty"),
        (b"a: 1\nown: \xff", ", line 2: byte 0xff is not UTF-8 text"),
        ("own: a\n".encode("utf-16"), ", line 1: byte 0xff is not UTF-8 text"),
        (b"a: 1\nown: \0", ", line 2: this is not YAML: a control character is not allowed"),
        (BOMB.encode(), "the file has more than 100000 values, aliases included"),
        (b"own: &a [*a]\n", ", line 1: an alias refers to a value that contains it"),
        (b"own: " + b"[" * 5000 + b"]" * 5000, "is nested too deeply"),
        (b"own: " + b"[" * 99 + b"]" * 99, ", line 1: more than 50 levels are nested"),
        (b'{"own": ' + b"[" * 9999 + b"]" * 9999 + b"}", "is nested too deeply"),
        (b"own: " + b"9" * 5000, ", line 1: this is not YAML: a value is not a valid int"),
        (
            b"a: 1\nown: 2026-13-45\n",
            ", line 2: this is not YAML: a value is not a valid timestamp; quote it if",
        ),
        (b"own: !!bool x\n", ", line 1: this is not YAML: a value is not a valid bool"),
        (b'a: 1\nown: "\\ud800"\n', ", line 2: own contains a character that is not text"),
        (b'{"a": 1,\n"own": "\\udc00"}', ", line 2: own contains a character that is not text"),
        (b'own: "a\\0b"\n', ", line 1: own contains a character that is not text"),
        (b"NO: {kind: file}\n", ", line 1: YAML reads the key NO as bool, not as text.\n  fix: Write it in quotes."),
        (b"a: 1\n1: {kind: file}\n", ", line 2: YAML reads the key 1 as int"),
        (b"~: {kind: file}\n", "YAML reads the key ~ as null"),
        (b"dapt:\n  seed: 010\n", ", line 2: YAML reads 010 as an octal number, 8."),
        (b"dapt:\n  max_steps: 1:30\n", ", line 2: YAML reads 1:30 as a number of base 60."),
    ],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_bytes(content)
    config = tmp_path / "config.yaml"
    config.write_text(f"sources: [config/sources.yaml, {own}]\n")
    readers = [lambda: load_files(["config/default.yaml", own]), lambda: load_files(["config/default.yaml", config])]
    if (b"own" in content and content != b"own") or content.startswith(b"dapt"):
        readers.append(lambda: load_site(str(own)))
    for read in readers:
        with pytest.raises(InvalidConfig, match=r"own.yaml[^\n]*\n +fix: ") as found:
            read()
        assert words in str(found.value)


def test_a_path_without_a_file_is_named(tmp_path: Path) -> None:
    (large := tmp_path / "rows.jsonl").touch()
    os.truncate(large, 1 << 43)
    for path, words in (
        (tmp_path, "is not a regular file"),
        (tmp_path / "no", "There is no"),
        (large, "has more than 64 MiB"),
    ):
        with pytest.raises(InvalidConfig, match=words):
            read_file(path)


def test_all_mistakes_of_all_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\nx: 2\ny: 010\nNO: 3\n")
    (tmp_path / "b.yaml").write_text("x: [\n")
    with pytest.raises(InvalidConfig) as found:
        load_files([tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "c.yaml"])
    assert len(found.value.problems) == 5
    assert all(f"{name}.yaml" in str(found.value) for name in "abc")


def test_quoted_text_is_text(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text('"NO": "010"\na: &x {b: 1}\nc: {<<: *x, b: 2}\n"1": [0, 10, 1.5, 0x10, 08]\n', encoding="utf-8-sig")
    assert read_file(own).content == {"NO": "010", "a": {"b": 1}, "c": {"b": 2}, "1": [0, 10, 1.5, 16, "08"]}


LEAVES = st.dictionaries(st.sampled_from("abc"), st.integers() | st.lists(st.integers()))
MAPPINGS = st.fixed_dictionaries({}, optional={"a": st.integers(), "x": LEAVES, "y": LEAVES})


@given(MAPPINGS, MAPPINGS)
def test_files_are_merged_as_snakemake_merges_them(base: dict, over: dict) -> None:
    whole = deepcopy(base)
    update_config(whole, deepcopy(over))
    assert merge(base, over) == whole
