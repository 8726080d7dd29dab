"""Entries of unknown origin: any bytes are the right entry or raise ``ValueError``."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical, digest_bytes
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.store.entry import decode, encode
from tapeout.graph.store.store import Store
from tests.graph.folders import FINISHED

ACTION = Action({"schema": 1, "artifact": "model", "params": {"lr": 0.5}})
FILES = (Entry("a.txt", False, 2, "a" * 64), Entry("sub/b.sh", True, 3, "b" * 64))
MANIFEST = Manifest("model", ACTION.digest, "folder", FILES)
RIGHT = encode(ACTION.value, MANIFEST)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_decode_inverts_encode() -> None:
    assert decode(RIGHT, ACTION.digest) == (ACTION, MANIFEST)


def paths(value: object, prefix: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Return the paths of all values inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(found for key, part in inner for found in paths(part, (*prefix, key)))]


@given(st.data(), VALUES)
def test_altered_entry_is_refused(data: st.DataObject, value: object) -> None:
    sealed = json.loads(RIGHT)
    *parents, last = data.draw(st.sampled_from(paths(sealed["entry"])[1:]))
    at = sealed["entry"]
    for key in parents:
        at = at[key]
    if at[last] == value and type(at[last]) is type(value):
        return
    at[last] = value
    for digest in (sealed["digest"], digest_bytes(json.dumps(sealed["entry"], sort_keys=True).encode())):
        with pytest.raises(ValueError):
            decode(json.dumps(sealed | {"digest": digest}).encode(), ACTION.digest)


@given(st.binary(max_size=200), st.integers(0, len(RIGHT)))
def test_altered_bytes_are_refused(noise: bytes, at: int) -> None:
    altered = RIGHT[:at] + noise + RIGHT[at + len(noise) :]
    if altered.strip() != RIGHT.strip():
        with pytest.raises(ValueError):
            decode(altered, ACTION.digest)


@pytest.mark.parametrize(
    "manifest",
    [
        Manifest("model", ACTION.digest, "file", FILES),
        Manifest("model", ACTION.digest, "file", (Entry("a.txt", False, 2, "a" * 64),)),
        Manifest("model", ACTION.digest, "folder", (Entry("", False, 2, "a" * 64),)),
        Manifest("model", ACTION.digest, "folder", FILES[::-1]),
        Manifest("model", ACTION.digest, "folder", (FILES[0], FILES[0])),
        Manifest("model", ACTION.digest, "link", FILES),
        Manifest("other", ACTION.digest, "folder", FILES),
        Manifest("model", "0" * 64, "folder", FILES),
    ],
    ids=str,
)
def test_invalid_manifest_is_refused(manifest: Manifest) -> None:
    with pytest.raises(ValueError):
        decode(encode(ACTION.value, manifest), ACTION.digest)


def test_formatting_of_the_json_does_not_matter() -> None:
    assert decode(json.dumps(json.loads(RIGHT), indent=2).encode(), ACTION.digest) == (ACTION, MANIFEST)
    assert canonical(json.loads(RIGHT)) + b"\n" == RIGHT


def test_lines_of_the_journal_that_are_none_are_ignored(tmp_path: Path) -> None:
    store, line = Store(tmp_path), {"artifact": "a", "action": "0" * 64, "finished": FINISHED}
    store.append_journal(line)
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('3\nnull\n[]\n"x"\n{}\n{"artifact": "a"\n\n{"artifact": "a", "action": "x"}\n')
        file.write("[" * 10_000 + "\n")
        for damage in ({"artifact": []}, {"finished": "today"}, {"finished": 3}, {"seconds": "1"}, {"resources": 1}):
            file.write(json.dumps(line | damage) + "\n")
    store.append_journal(line)
    assert store.journal() == [line, line]
