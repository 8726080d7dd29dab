"""Manifests and digests."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.graph.errors import InputChanged, NotAPlainFile
from tapeout.graph.identity.digest import canonical, digest_value
from tapeout.graph.identity.manifest import Manifest

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), values))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError):
        canonical({"lr": float("nan")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "weights").mkdir(parents=True)
    (root / "weights" / "a.bin").write_bytes(b"a")
    (root / "weights" / "b.bin").write_bytes(b"bb")
    (root / "config.json").write_text("{}")
    return root


def test_folder_and_its_parts_have_digests(folder: Path) -> None:
    manifest = Manifest.of(folder, "model", "0" * 64)
    assert [entry.path for entry in manifest.entries] == ["config.json", "weights/a.bin", "weights/b.bin"]
    assert manifest.size == 5
    weights = manifest.digest("weights")
    assert weights == Manifest.of(folder / "weights", "x", "1" * 64).digest()
    assert manifest.digest("config.json") == Manifest.of(folder / "config.json", "x", "").digest()
    with pytest.raises(InputChanged):
        manifest.digest("weight")
    (folder / "config.json").write_text("[]")
    changed = Manifest.of(folder, "model", "0" * 64)
    assert changed.digest() != manifest.digest() and changed.digest("weights") == weights


def test_digest_depends_on_the_executable_bit_and_not_on_the_path(folder: Path, tmp_path: Path) -> None:
    before = Manifest.of(folder, "model", "").digest()
    moved = folder.rename(tmp_path / "elsewhere")
    assert Manifest.of(moved, "model", "").digest() == before
    (moved / "config.json").chmod(0o755)
    after = Manifest.of(moved, "model", "")
    assert after.digest() != before
    one = Manifest.of(moved / "config.json", "config.json", "")
    assert one.entries[0].digest == hashlib.sha256(b"{}").hexdigest()
    assert one.digest() == after.digest("config.json") == digest_value([one.entries[0].digest, "x"])
    assert Manifest.from_json(one.as_json()) == one
    (moved / "config.json").chmod(0o644)
    assert Manifest.of(moved, "model", "").digest("config.json") == one.entries[0].digest


def test_from_json_inverts_as_json(folder: Path) -> None:
    manifest = Manifest.of(folder, "model", "0" * 64)
    assert Manifest.from_json(manifest.as_json()) == manifest


def test_links_are_refused(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "weights")
    with pytest.raises(NotAPlainFile):
        Manifest.of(folder, "model", "")


@pytest.mark.parametrize("name", [b"a\tb/file", b"deep/a\nb/file", b"\xe9/file", b"file\xe9", b"a\xe2\x80\xae"])
def test_unprintable_names_are_refused_in_any_part(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "artifact" / os.fsdecode(name)
    path.parent.mkdir(parents=True)
    path.write_text("x")
    with pytest.raises(NotAPlainFile, match="printable name"):
        Manifest.of(tmp_path / "artifact", "a", "")


def test_matches_reads_only_what_may_have_changed(folder: Path) -> None:
    manifest = Manifest.of(folder, "model", "")
    assert manifest.matches(folder)  # the times are not sealed ones, so every file was read, and got its sealed time
    part = folder / "weights" / "a.bin"
    info = part.stat()
    part.write_bytes(b"x")
    assert not manifest.matches(folder)
    os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert manifest.matches(folder)  # size and time are right: only verify --deep finds this
    (folder / "more").write_text("")
    assert not manifest.matches(folder)


def test_equal_values_have_equal_digests() -> None:
    assert digest_value({"b": [1, 2.5], "a": "ü"}) == digest_value({"a": "ü", "b": [1, 2.5]})
    assert digest_value([1]) != digest_value([1.0])
