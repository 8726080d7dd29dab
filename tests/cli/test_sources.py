"""``tapeout sources pin`` against a local Hub server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.sources.hub_server import COMMIT, Repository, serve_hub, sha256

ROOT = Path(__file__).parents[2]


def test_the_record_is_printed() -> None:
    with serve_hub() as hub:
        hub.repositories["models/owner/name"] = Repository({"a.bin": b"weights"}, large={"a.bin"}, gated=True)
        variables = {**os.environ, "HF_ENDPOINT": hub.address}
        command = [sys.executable, "-m", "tapeout.cli", "sources", "pin", "--json"]
        done = subprocess.run(
            [*command, "hf_model:owner/name", "--file", "*.bin"],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
        )
        missing = subprocess.run(
            [*command, "hf_model:owner/none"], cwd=ROOT, env=variables, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)["name"]  # a gated repository's list of files is open to everybody
    assert record["revision"] == COMMIT and record["files"][0]["sha256"] == sha256(b"weights")
    assert missing.returncode == 3 and "SourceMissing" in missing.stderr


def test_no_module_of_the_current_folder_is_imported_in_place_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "Snakefile").touch()
    shutil.copy(ROOT / "envs" / "data.lock", tmp_path / "envs")
    (tmp_path / ".envs").symlink_to(ROOT / ".envs")
    (tmp_path / "huggingface_hub.py").write_text("raise SystemExit('of the current folder')\n")
    with serve_hub() as hub:
        hub.repositories["models/owner/name"] = Repository({"a.bin": b"weights"})
        command = [sys.executable, "-m", "tapeout.cli", "sources", "pin", "hf_model:owner/name", "--json"]
        variables = {**os.environ, "HF_ENDPOINT": hub.address, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and json.loads(done.stdout)["name"]["revision"] == COMMIT, done.stderr
