"""Verification of installed environments, those that made the results in a folder."""

from tapeout.graph.identity.installation import LISTING, MARK, complete, differences
from tapeout.graph.upkeep.environments import EnvironmentFinding, used_environments, verify_environments
from tests.graph.conftest import Project
from tests.graph.folders import workspace_of
from tests.graph.upkeep.test_verify import flip

BYTE_CODE = "lib/python3.11/site-packages/__pycache__/module.cpython-311.pyc"


def test_every_byte_of_the_environments_of_the_results_is_read(built: Project) -> None:
    workspace = workspace_of(built)
    light, heavy = (built.root / built.environment(name).folder for name in ("light", "heavy"))
    assert used_environments(workspace, []) == sorted([heavy, light])
    assert used_environments(workspace, ["model"]) == [heavy]
    environment, byte_code = built.environment("heavy"), heavy / BYTE_CODE
    byte_code.parent.mkdir()
    byte_code.write_bytes(b"compiled")
    (byte_code.parents[1] / "module.py").write_text("x = 1\n")
    complete(heavy, environment.digest, environment.interpreter)
    calls: list[tuple[int, int]] = []
    assert verify_environments([heavy], lambda done, total: calls.append((done, total))) == []
    assert calls[-1][0] == calls[-1][1] > 0
    installed = {name: (heavy / name).read_bytes() for name in (MARK, LISTING)}
    for name in (BYTE_CODE, "bin/activate", "pyvenv.cfg"):
        flip(heavy / name)
    complete(heavy, environment.digest, environment.interpreter)  # notes the change times, which a bad disk keeps
    for name, data in installed.items():
        (heavy / name).write_bytes(data)
    assert differences(heavy) == []
    problem = "is damaged: its bytes are not those that were installed"
    damaged = [EnvironmentFinding("heavy", str(heavy / name), problem) for name in ("bin/activate", "pyvenv.cfg")]
    deleted = EnvironmentFinding("heavy", str(byte_code), "was damaged byte code, and was deleted")
    assert verify_environments([heavy, light]) == sorted([deleted, *damaged])
    # found again without reading all files: they lost their times
    assert [str(heavy / found.path) for found in differences(heavy)] == [finding.path for finding in damaged]
    assert [finding.path for finding in verify_environments([heavy])] == [finding.path for finding in damaged]
