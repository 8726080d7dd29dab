"""A copy of the project beside the open data, run once by the real Snakemake (make test-shared-data)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "TAPEOUT_SHARED_DATA"


@dataclass(frozen=True)
class Built:
    """Results of a run."""

    results: Path

    def report(self, artifact: str) -> dict[str, Any]:
        return json.loads((self.results / artifact / "report.json").read_bytes())

    def rows(self, artifact: str) -> dict[str, list[dict[str, Any]]]:
        splits = ("train", "validation", "test")
        return {
            part: [json.loads(line) for line in (self.results / artifact / f"{part}.jsonl").open()] for part in splits
        }


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of the open data; fail without it."""
    folder = Path(os.environ.get(FOLDER, ""))
    if not os.environ.get(FOLDER) or not (folder / "oasst" / "en_100_tree.jsonl").is_file():
        pytest.fail(f"{FOLDER} must name the folder that holds oasst/, squad/, self-instruct/ and eda-corpus/.")
    return folder


@pytest.fixture(scope="session")
def project(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a copy of what git would commit, with a link to the open data."""
    folder = tmp_path_factory.mktemp("shared_data")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / ".envs").symlink_to(ROOT / ".envs")
    (folder / "open-data").symlink_to(data.resolve())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def built(project: Path) -> Built:
    """Build all sets of config/open_data.yaml, their token ids, and the gates before a training."""
    snakemake(project, "encodings", "gates")
    return Built(project / "results")


def snakemake(project: Path, *targets: str) -> None:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        "config/open_data.yaml",
        "--quiet=host",
        "--",
        *targets,
    ]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
