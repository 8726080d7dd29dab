"""A small project and its export, made once per session; tests that alter the export copy it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.provenance.checking import read_document
from tapeout.provenance.document import NAME, Document
from tests.graph.conftest import ROOT, Project, make_project
from tests.keys import Keys, make_keys
from tests.starter import run_module

SECRETS = {"HF_TOKEN": "hf_thisIsNobodysBusiness", "USER": "alice-of-the-lab", "LOGNAME": "alice-of-the-lab"}
"""Environment variables of the exporting user; no export may contain the values."""
ALL_FORMATS = ("--format", "slsa", "--format", "rocrate", "--date", "2026-11-22")


def tapeout(
    where: Path, *arguments: str | Path, expect: int = 0, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``tapeout ARGUMENTS`` in a folder, with the project's code."""
    code = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "tapeout.cli", *map(str, arguments)]
    done = run_module(command, where, {**os.environ, **code, **(variables or {})}, timeout=300)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return the keys of the exporter."""
    return make_keys(tmp_path_factory.mktemp("keys") / "exporter")


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the small project with results, which no test may change."""
    project = make_project(tmp_path_factory.mktemp("mini") / "where-alice-works")
    project.run()
    return project


@pytest.fixture(scope="session")
def signed(mini: Project, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a signed export of the project in all formats, which no test may change."""
    folder = tmp_path_factory.mktemp("signed") / "export"
    variables = {**SECRETS, "HOME": str(mini.root.parent)}
    tapeout(mini.root, "export", folder, "--also", "src", *ALL_FORMATS, "--key", keys.private, variables=variables)
    return folder


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    """Return a copy of the signed export."""
    return Path(shutil.copytree(signed, tmp_path / "copy"))


@pytest.fixture
def document(signed: Path) -> Document:
    """Return the document of the signed export."""
    return read_document(signed / NAME)
