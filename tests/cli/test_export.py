"""Command lines of ``tapeout export`` and ``tapeout reproduce``; the packages are tested in tests/provenance."""

from pathlib import Path

from tests.cli.conftest import as_json, call
from tests.graph.conftest import ALL, Project


def test_an_export_is_written_and_checked(built: Project, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    code, made = as_json(built, "export", str(out), "--also", "src", "--format", "slsa", "--unsigned")
    assert code == 0 and made["target"] == "report.txt" and made["artifacts"] == len(ALL)
    assert made["formats"] == ["json", "slsa"] and made["signed_by"] is None and made["size"] == out.stat().st_size
    code, result = as_json(built, "reproduce", str(out), "--check")
    assert code == 0 and result["target_digest"] == made["digest"] == built.digests()["report.txt"]
    assert result["signed_by"] == [] and not result["signature_verified"]
    text = call(built, "reproduce", str(out), "--check")[1]
    assert "not signed" in text and max(map(len, text.splitlines())) <= 100
    assert not list(built.root.glob("*-reproduced"))
    status, _, errors = call(built, "export", str(out), "--also", "src")
    assert status == 3 and "ExportRefused" in errors
    text = call(built, "export", str(tmp_path / "next"), "--also", "src")[1]
    assert f"tapeout reproduce {tmp_path / 'next'} --unsigned" in " ".join(text.split())
    out.write_bytes(out.read_bytes()[:100_000])
    status, _, errors = call(built, "reproduce", str(out))
    assert status == 3 and "InvalidExport" in errors
