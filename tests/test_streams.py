"""Standard output: any text, any encoding, no room, no reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DIFF = [sys.executable, "-m", "tapeout.cli", "diff", "results", "results"]
ROOT = Path(__file__).parents[1]


def run(folder: Path, output: int, *options: str, **variables: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command that prints an arrow, in a folder without results."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [*DIFF, *options]
    return subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.PIPE, timeout=300)


def test_text_has_replacement_characters_and_json_is_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "é"
    (folder / "results").mkdir(parents=True)
    done = run(folder, subprocess.PIPE, PYTHONIOENCODING="iso-8859-1")
    assert (done.returncode, done.stderr) == (0, b"") and b"results ? results: " in done.stdout
    done = run(folder, subprocess.PIPE, "--json", "--configfile", "../ü→.yaml", PYTHONIOENCODING="ascii")
    assert done.returncode == 3 and "ü→.yaml".encode() in done.stderr and b"Traceback" not in done.stderr
    (tmp_path / "ü→.yaml").write_text("{}")
    done = run(folder, subprocess.PIPE, "--json", "--configfile", "../ü→.yaml", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"") and '"../ü→.yaml"'.encode() in done.stdout


@pytest.mark.parametrize("options", [(), ("--json",), ("--help",)], ids=["text", "json", "help"])
def test_a_full_device_is_a_named_error_and_a_closed_pipe_ends_quietly(tmp_path: Path, options: tuple[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = run(tmp_path, full.fileno(), *options)
    assert done.returncode == 3 and done.stderr.startswith(b"CannotWriteOutput: The output cannot be written: No space")
    assert b"Traceback" not in done.stderr and len(done.stderr.splitlines()) == 2
    reader, writer = os.pipe()
    os.close(reader)
    done = run(tmp_path, writer, *options)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
