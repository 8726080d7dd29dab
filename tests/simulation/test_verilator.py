"""Verilator without its front ends."""

from pathlib import Path

import pytest

from tapeout.simulation.containment import Containment
from tapeout.simulation.ladder import judge
from tapeout.simulation.verilator import Verilator
from tests.simulation.toys import COUNTER, GOLDEN, SHORT

pytestmark = pytest.mark.environment("rtl")


def test_a_design_is_compiled_with_the_precompiled_header_and_not_with_its_text(tmp_path: Path) -> None:
    verilator = Verilator(Containment(), tmp_path, 2, SHORT)
    assert judge(COUNTER, GOLDEN, verilator).passes
    (tmp_path / "runtime.h").write_text("#error the precompiled header is not used\n")
    assert judge(COUNTER, GOLDEN, verilator).passes
    (tmp_path / "runtime.h.gch").unlink()
    assert judge(COUNTER, GOLDEN, verilator).reason == "compiler_error"
