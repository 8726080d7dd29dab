"""A training method from outside of the package trains without an edit of a file in it."""

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from tapeout import plugins
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.train.method import Method
from tests.starter import NEMO, run_module
from tests.toys import toy_method

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
NAME = "tests.toys.toy_method"
PROGRAM = """
from pathlib import Path

from tapeout.program import step
from tapeout.train.run import run_method
from tests.toys.toy_method import Parameters


@step(Parameters)
def main(job: Parameters, model: Path, text: Path, output: Path) -> None:
    run_method("tests.toys.toy_method", job, model, output, {"text": text})


if __name__ == "__main__":
    main()
"""


def test_the_configuration_takes_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    default = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    settings = load({**default, "methods": {NAME: {"stride": 4}}})
    assert settings.methods[NAME].identity() == toy_method.Parameters(stride=4).identity()
    with pytest.raises(InvalidConfig, match=r"stirde is unknown; did you mean stride\?"):
        load({**default, "methods": {NAME: {"stirde": 4}}})


def test_it_trains(trainings: Path, tmp_path: Path) -> None:
    method: Method = toy_method  # mypy compares the members
    job = toy_method.Parameters(
        max_steps=3, warmup_steps=1, seq_length=64, global_batch_size=4, micro_batch_size=4, threads=1, stride=4
    )
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "params.json").write_text(job.model_dump_json())
    (tmp_path / "text.txt").write_text("always @(posedge clk) data <= address; ")
    options = {
        "model": trainings / "base",
        "text": tmp_path / "text.txt",
        "params": tmp_path / "params.json",
        "output": tmp_path / "model",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAPEOUT_", "SLURM_"))}
    command = [sys.executable, "-m", "program"]
    command += [str(word) for name, path in options.items() for word in (f"--{name}", path)]
    variables = {**clean, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), plugins.VARIABLE: NAME}
    process = run_module(command, tmp_path, variables, 1200, NEMO)
    assert process.returncode == 0, process.stderr[-4000:]
    assert "toy step 3" in process.stdout
    log = json.loads((tmp_path / "model/train_log.json").read_text())
    assert [step["tokens"] for step in log["steps"]] == [64, 128, 192], "4 sequences with 16 losses each"
    assert json.loads((tmp_path / "model" / "toy.json").read_text()) == {"stride": 4}
    assert method.KIND == "pretrain"
