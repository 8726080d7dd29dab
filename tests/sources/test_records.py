"""Records of sources: incomplete pins are refused, and the committed file is valid."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from tapeout.config.sources import Record, Source, Sources

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
HASH = "0" * 64
GOOD = {
    "pypi": {"package": "p", "version": "1", "file": "p-1.tar.gz", "sha256": HASH},
    "hf_model": {"repository": "a/b", "revision": "1" * 40, "files": [{"path": "x/y.bin", "sha256": HASH}]},
    "url": {"url": "https://example.org/x", "file": "x", "sha256": HASH},
    "file": {"path": "x.jsonl"},
    "folder": {"path": "texts"},
}


def check(record: str, **changes: object) -> Record:
    values = {"kind": record, "licence": "ISC", **GOOD[record], **changes}
    return TypeAdapter(Source).validate_python({name: value for name, value in values.items() if value is not None})


@pytest.mark.parametrize("kind", GOOD)
def test_good_records(kind: str) -> None:
    check(kind)


@pytest.mark.parametrize(
    ("kind", "origin"),
    [
        ("pypi", "package p 1, file p-1.tar.gz"),
        ("hf_model", f"Hugging Face model a/b at commit {'1' * 40}"),
        ("url", "https://example.org/x"),
        ("file", "file x.jsonl"),
        ("folder", "folder texts"),
    ],
)
def test_attribution_names_origin_and_licence(kind: str, origin: str) -> None:
    assert check(kind).attribution == {"origin": origin, "licence": "ISC"}


def test_a_commit_pins_the_files_of_a_hub_repository() -> None:
    record = check("hf_model", files=[{"path": "x"}])
    assert record.identity()["files"] == [{"path": "x", "sha256": None, "size": None}]


def test_attribution_names_no_folder_of_this_machine() -> None:
    assert check("file", path="/home/me/x.jsonl").origin == "file x.jsonl"
    assert check("folder", path="/home/me/texts/").origin == "folder texts"
    assert check("url", url="file:///home/me/x").origin == "file x"


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("pypi", {"sha256": None}),
        ("pypi", {"sha256": "abc"}),
        ("pypi", {"file": "../p.tar.gz"}),
        ("pypi", {"licence": None}),
        ("pypi", {"size": 0}),
        ("pypi", {"colour": "red"}),
        ("url", {"sha256": None}),
        ("url", {"url": "ftp://example.org/x"}),
        ("hf_model", {"revision": "main"}),
        ("hf_model", {"files": []}),
        ("hf_model", {"files": [{"path": "x", "sha256": "abc"}]}),
        ("hf_model", {"files": [{"path": "/etc/x", "sha256": HASH}]}),
        ("hf_model", {"files": [{"path": "x", "sha256": HASH}] * 2}),
        ("file", {"kind": "floppy"}),
        ("folder", {"include": []}),
        ("folder", {"path": ""}),
    ],
)
def test_bad_records(kind: str, changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        check(kind, **changes)


@pytest.mark.parametrize(
    "query", ["X-Amz-Signature", "X-Goog-Credential", "sig", "access_token", "AWSAccessKeyId", "a%50i_key"]
)
@pytest.mark.parametrize("address", ["https://host/x", "ftp://host/x"])
def test_no_record_has_a_secret_in_an_address(address: str, query: str) -> None:
    """Also where the address is wrong for another reason, of which the message shows the value."""
    user = address.replace("host", "me:hunter22@host")
    for url in (user, f"{address}?a=b&{query}=hunter22", f"{address}#{query}=hunter22"):
        for kind, changes in (("url", {"url": url}), ("file", {"path": url}), ("folder", {"include": ["*", url]})):
            with pytest.raises(ValidationError) as raised:
                check(kind, **changes)
            (error,) = raised.value.errors(include_input=False)
            assert error["type"] == "conflict" and "hunter22" not in str(error)
    assert check("url", url="https://host/x?design=1&monkey=2").origin == "https://host/x?design=1&monkey=2"


def test_the_committed_file_is_valid() -> None:
    sources = TypeAdapter(Sources).validate_python(yaml.safe_load((ROOT / "config" / "sources.yaml").read_text()))
    assert {source.kind for source in sources.values()} == {"file", "folder", "pypi"}
    assert all(source.size for source in sources.values() if source.kind == "pypi")


@pytest.mark.parametrize("name", ["Core", "../core", "a/b", ""])
def test_names_are_folder_names(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Sources).validate_python({name: {"kind": "file", "path": "x", "licence": "ISC"}})
