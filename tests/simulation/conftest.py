"""Shared fixtures of the tests of simulations."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tapeout.simulation.verilator import Verilator


@pytest.fixture(scope="session")
def verilator(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Verilator]":
    """Verilator with low limits; its runtime is compiled once for all tests."""
    from tapeout.simulation.containment import Containment
    from tapeout.simulation.verilator import Verilator
    from tests.simulation.toys import SHORT

    folder: Path = tmp_path_factory.mktemp("runtime")
    yield Verilator(Containment(), folder, os.cpu_count() or 1, SHORT)
