"""Folder in which the tests of the guard may write."""

from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return a folder two levels below the one that nothing may be written to."""
    folder = tmp_path / "outer" / "scratch"
    folder.mkdir(parents=True)
    return folder
