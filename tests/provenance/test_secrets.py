"""Detection of secrets and local paths."""

from pathlib import Path

import pytest

from tapeout.graph.identity.digest import BLOCK
from tapeout.provenance.code import portable
from tapeout.provenance.errors import ExportRefused
from tapeout.provenance.secrets import check_file, check_value, private


@pytest.mark.parametrize(
    "text",
    [
        "https://alice:hunter2@host/file",
        "see s3://key:secret@bucket",
        "https://hf_abcdef@host/",
        "https://host/file?access_token=abc",
        "http://host/x?a=b&X-Amz-Signature=0",
        "https://host/?sig=abc",
        *(f"https://host/?a=b&{name}=abc" for name in ("api-key", "access-key", "x-api-key", "private-key", "db_pass")),
        *(f"https://host/?{name}=abc" for name in ("subscription-key", "Ocp-Apim-Subscription-Key", "pass", "apikey")),
        "//alice:hunter2@host/file",
        "index=//alice:hunter2@host",
        "https://host/?access%255Ftoken=abc",
        "https://host/%25253Fapi%25252Dkey%25253Dabc",
        f"https://host/%{'25' * 20}3F",
    ],
)
def test_urls_with_secrets(text: str) -> None:
    with pytest.raises(ExportRefused, match=r"config\.list") as raised:
        check_value({"list": ["plain", {"deep": text}]}, "config")
    assert text not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://host/a@b",
        "mail alice@host",
        "https://host/?design=1&monkey=2",
        "a: b@c",
        "tokens?key",
        "// a:b@c",
        "//a@b",
    ],
)
def test_urls_without_secrets(text: str) -> None:
    check_value({text: [text, 1, None, True, 1.5]}, "config")


def test_variables_and_folders() -> None:
    variables = {
        "HF_TOKEN": "hf_0123456789",
        "CI_JOB_TOKEN": "yes",
        "DB_PASSWORD": "correct horse",
        "PIP_INDEX_URL": "https://alice:hunter22@index/simple",
        "PIP_EXTRA_INDEX_URL": "https://public00@a/simple https://bob:swordfish9@b/simple",
        "EDITOR": "/usr/bin/vi-with-a-long-name",
    }
    found = set(private(Path("/srv/lab/project"), variables).values()) - {bytes(Path.home())}
    users = {b"alice:hunter22", b"hunter22", b"public00", b"bob:swordfish9", b"swordfish9"}
    assert found == {b"hf_0123456789", b"correct horse", b"/srv/lab/project", *users}
    assert b"/srv" not in private(Path("/srv"), {}).values()


@pytest.mark.parametrize("end", ["\n", "\r\n", " ", "\t", "\n\n"])
def test_white_space_around_a_variable_is_no_part_of_its_secret(end: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("token hf_abcdefghijkl end")
    secrets = private(Path("/srv/lab/project"), {"HF_TOKEN": f"{end}hf_abcdefghijkl{end}", "DB_PASSWORD": f"{end * 8}"})
    with pytest.raises(ExportRefused, match="the secret in the variable HF_TOKEN"):
        check_file(path, "README.md", secrets)
    path.write_text("hf_abcdefghijk l" + end * 9)
    check_file(path, "README.md", secrets)


def test_a_secret_across_two_blocks_of_a_file(tmp_path: Path) -> None:
    path, secrets = tmp_path / "large", {"the token": b"hf_0123456789"}
    for start in (0, BLOCK - 13, BLOCK - 6, BLOCK - 1, BLOCK, 2 * BLOCK - 1):
        path.write_bytes(b"x" * start + b"hf_0123456789" + b"y" * BLOCK)
        with pytest.raises(ExportRefused, match="the token"):
            check_file(path, "large", secrets)
    path.write_bytes(b"hf_012345678" + b"x" * BLOCK)
    check_file(path, "large", secrets)
    check_file(path, "large", {})


def test_paths_outside_the_project() -> None:
    assert portable("./config/../data/x.txt", "It is") == "data/x.txt"
    for path in ("/data/x.txt", "../x.txt", "data/../../x.txt", "."):
        with pytest.raises(ExportRefused):
            portable(path, "It is")
