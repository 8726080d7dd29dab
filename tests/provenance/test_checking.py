"""Every alteration of an export is detected before any of it is run."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.errors import InvalidKey, NotAPlainFile
from tapeout.graph.identity.digest import canonical
from tapeout.graph.store.keys import read_private_key, read_public_key
from tapeout.provenance.checking import check_export
from tapeout.provenance.document import NAME, Document
from tapeout.provenance.errors import ExportRefused, InvalidExport
from tapeout.provenance.folder import SUMS, creating, opened, pack, write_sums
from tests.provenance.conftest import Keys, make_keys

WHOLE = "attestations/export.dsse.json"


def alter(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewrite(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file and keep it canonical."""
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(canonical(value) + b"\n")


def test_an_unaltered_export_is_accepted(signed: Path, keys: Keys, document: Document) -> None:
    checked = check_export(signed, read_public_key(keys.public))
    assert checked.document == document and checked.verified and len(checked.signed_by) == 1
    assert check_export(signed, None).signed_by == checked.signed_by and not check_export(signed, None).verified


@pytest.mark.parametrize(
    "name", [NAME, "code/scripts/model.py", "code/src/data.txt", "artifacts/report.txt", "ro-crate-metadata.json", SUMS]
)
def test_an_altered_byte_with_a_key(copy: Path, keys: Keys, name: str) -> None:
    alter(copy / name)
    with pytest.raises(InvalidExport):
        check_export(copy, read_public_key(keys.public))


def test_an_altered_byte_in_a_file_of_every_kind(copy: Path) -> None:
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    kinds = {(path.relative_to(copy).parts[0], path.suffix): path for path in files}
    assert len(kinds) > 8
    for path in kinds.values():
        before = path.read_bytes()
        alter(path)
        with pytest.raises(InvalidExport):
            check_export(copy, None)
        path.write_bytes(before)
    check_export(copy, None)


@pytest.mark.parametrize(
    "name", ["code/src/data.txt", "artifacts/report.txt", "code/lib/words.py", "code/envs/light.lock"]
)
def test_altered_bytes_with_new_sums(copy: Path, keys: Keys, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
    write_sums(copy)
    for key in (None, read_public_key(keys.public)):
        with pytest.raises(InvalidExport, match=name):
            check_export(copy, key)


def test_altered_code_with_new_sums_and_a_new_document(copy: Path) -> None:
    path = copy / "code/lib/words.py"
    path.write_text(path.read_text().replace("sorted", "list"))
    write_sums(copy)
    digest = (copy / SUMS).read_text().split("  code/lib/words.py")[0].split("\n")[-1]

    def change(value: Any) -> None:
        for file in value["code"]:
            if file["path"] == "lib/words.py":
                file["sha256"], file["size"] = digest, path.stat().st_size

    rewrite(copy / NAME, change)
    write_sums(copy)
    with pytest.raises(InvalidExport, match="The code of formatted.txt"):
        check_export(copy, None)


def test_a_pipe_is_refused_and_not_waited_for(copy: Path) -> None:
    (copy / SUMS).unlink()
    os.mkfifo(copy / SUMS)
    with pytest.raises(NotAPlainFile, match=SUMS):
        check_export(copy, None)
    with pytest.raises(InvalidExport, match="nor a regular file"), opened(copy / SUMS):
        pass


def test_nothing_large_is_read_before_it_is_known_to_be_bounded(copy: Path, keys: Keys) -> None:
    """Each in a copy without new sums, and with the signer's key: neither sums nor signatures are computed before."""
    key, deep = read_public_key(keys.public), "code/" + "d/" * 40 + "x"

    def nested(name: str) -> None:
        (copy / name).write_text("[" * 100_000)

    def sparse(name: str) -> None:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        with (copy / name).open("ab") as file:
            file.truncate(1 << 42)

    cases: list[tuple[Callable[[str], None], str, str]] = [
        *((sparse, name, "sparse") for name in ("code/Snakefile", "added", NAME, SUMS, WHOLE)),
        (nested, WHOLE, "is not a DSSE envelope"),
        (lambda name: (copy / name).parent.mkdir(parents=True) or (copy / name).touch(), deep, "a name of"),
    ]
    for spoil, name, reason in cases:
        before = (copy / name).read_bytes() if (copy / name).exists() else None
        spoil(name)
        with pytest.raises(InvalidExport, match=reason):
            check_export(copy, key)
        (copy / name).unlink() if before is None else (copy / name).write_bytes(before)
    shutil.rmtree(copy / "code/d")
    check_export(copy, key)
    (copy / NAME).write_text("[" * 150_000)
    write_sums(copy)
    with pytest.raises(InvalidExport, match=f"{NAME} cannot be read"):
        check_export(copy, None)


def test_a_document_that_contradicts_itself(copy: Path) -> None:
    changes: list[Callable[[Any], None]] = [
        lambda value: value["artifacts"][0]["files"][0].update(digest="0" * 64),
        lambda value: value["artifacts"].reverse(),
        lambda value: next(iter(value["actions"].values())).update(script="scripts/other.py"),
        lambda value: value.update(target="nothing"),
        lambda value: value.update(version=2),
        lambda value: value.update(more=1),
        lambda value: value["code"][0].update(path="../../outside"),
        lambda value: value["artifacts"].__setitem__(0, 1),
        lambda value: value.update(actions={}),
    ]
    before = (copy / NAME).read_bytes()
    for change in changes:
        rewrite(copy / NAME, change)
        write_sums(copy)
        with pytest.raises(InvalidExport):
            check_export(copy, None)
        (copy / NAME).write_bytes(before)
    (copy / NAME).write_bytes(before.replace(b":", b": "))
    write_sums(copy)
    with pytest.raises(InvalidExport, match="canonical"):
        check_export(copy, None)


def test_files_added_missing_and_linked(copy: Path) -> None:
    (copy / "code/sitecustomize.py").write_text("print('from outside')\n")
    with pytest.raises(InvalidExport, match="sitecustomize"):
        check_export(copy, None)
    write_sums(copy)
    with pytest.raises(InvalidExport, match="sitecustomize"):
        check_export(copy, None)
    (copy / "code/sitecustomize.py").unlink()
    (copy / "code/lib/words.py").rename(copy / "words.py")
    with pytest.raises(InvalidExport, match="words.py"):
        check_export(copy, None)
    (copy / "code/lib/words.py").symlink_to(copy / "words.py")
    with pytest.raises(NotAPlainFile):
        check_export(copy, None)
    with pytest.raises(InvalidExport):
        check_export(copy / "code", None)


def test_signatures(copy: Path, keys: Keys, tmp_path: Path) -> None:
    key, other = read_public_key(keys.public), read_public_key(make_keys(tmp_path / "other").public)
    before = (copy / WHOLE).read_bytes()
    with pytest.raises(InvalidExport, match="is signed by the key"):
        check_export(copy, other)
    changes: list[tuple[str, Callable[[Any], None]]] = [
        ("does not match", lambda envelope: envelope.update(payload=envelope["payload"][:-8] + "AAAAAAA=")),
        ("does not match", lambda envelope: envelope["signatures"][0].update(sig="A" * 86 + "==")),
        ("is signed by the key", lambda envelope: envelope["signatures"][0].update(keyid=other.keyid)),
        ("is not signed", lambda envelope: envelope.update(signatures=[])),
        ("'text/plain', not a statement", lambda envelope: envelope.update(payloadType="text/plain")),
        ("is not a DSSE envelope", lambda envelope: envelope.update(signatures=1)),
    ]
    for cause, change in changes:
        rewrite(copy / WHOLE, change)
        write_sums(copy)
        with pytest.raises(InvalidExport, match=cause):
            check_export(copy, key)
        (copy / WHOLE).write_bytes(before)
    (copy / WHOLE).unlink()
    with pytest.raises(InvalidExport, match="no signed statements"):
        check_export(copy, key)


def test_a_replaced_statement_about_an_action(copy: Path, keys: Keys) -> None:
    name = "attestations/artifacts/model.dsse.json"
    other = (copy / "attestations/artifacts/raw.txt.dsse.json").read_bytes()
    (copy / name).write_bytes(other)  # well signed, but about something else
    write_sums(copy)
    for key in (None, read_public_key(keys.public)):
        with pytest.raises(InvalidExport):
            check_export(copy, key)
    (copy / name).unlink()
    write_sums(copy)
    with pytest.raises(InvalidExport, match="model.dsse.json is missing"):
        check_export(copy, None)


def test_invalid_keys(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    for path in (tmp_path / "text.pem", tmp_path / "missing.pem", keys.public):
        with pytest.raises(InvalidKey):
            read_private_key(path)
    for path in (tmp_path / "text.pem", tmp_path / "missing.pem", keys.private):
        with pytest.raises(InvalidKey):
            read_public_key(path)


def test_an_archive_is_equivalent_to_its_folder(signed: Path, keys: Keys, tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        pack(signed, tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with opened(tmp_path / "one.tar") as folder:
        assert check_export(folder, read_public_key(keys.public)).digest == check_export(signed, None).digest
    data = (tmp_path / "one.tar").read_bytes()
    for end in (0, 100, 700, len(data) // 2, len(data) * 9 // 10):
        (tmp_path / "cut.tar").write_bytes(data[:end])
        with pytest.raises(InvalidExport), opened(tmp_path / "cut.tar"):
            pass
    with pytest.raises(InvalidExport), opened(tmp_path / "missing.tar"):
        pass


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", "link", "twice", "a\nb"])
def test_an_archive_never_writes_outside_its_folder(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "../outside"
        member.size = 0 if name == "link" else 1
        for _ in range(2 if name == "twice" else 1):
            tar.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "inside").mkdir()
    with pytest.raises(InvalidExport), opened(tmp_path / "bad.tar"):
        pass
    assert not (tmp_path / "outside").exists() and not Path("/tmp/outside").exists()


def test_an_output_is_complete_or_absent(tmp_path: Path) -> None:
    with pytest.raises(ValueError), creating(tmp_path / "new") as folder:
        (folder / "half").write_text("half")
        raise ValueError
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").write_text("mine")
    with pytest.raises(ExportRefused), creating(tmp_path / "old"):
        pass
    assert (tmp_path / "old").read_text() == "mine"
