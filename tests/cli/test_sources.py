"""``tapeout sources pin`` against a local Hub server."""

import json
import os
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
