"""The probe in the real environment: it records versions, and reports all mismatches together."""

import ast
import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tapeout.config.evaluation import NEMO
from tapeout.evals.task import SampledTask
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.environment import read_environment
from tapeout.nemo import probe as module
from tapeout.nemo.probe import MODULES, OPTIONAL, probe
from tapeout.program import StepFailed
from tests.starter import NEMO as IMPORTED
from tests.starter import run_module

pytestmark = pytest.mark.environment("nemo")

ROOT = Path(__file__).parents[2]


def locked() -> dict[str, str]:
    packages = read_environment("nemo", ROOT).packages
    return {name: version for name, version in packages.items() if name in MODULES}


def test_the_locked_environment_matches_its_lock() -> None:
    expected = locked()
    assert expected.keys() == MODULES.keys()
    result = probe(expected)
    packages = read_environment("nemo", ROOT).packages
    installed = {name: version["installed"] for name, version in result["packages"].items()}
    assert installed == {**expected, **{name: packages.get(name) for name in OPTIONAL.values()}}
    assert result["packages"]["nemo-toolkit"]["imported"] == expected["nemo-toolkit"]
    assert result["packages"]["megatron-core"]["imported"] == expected["megatron-core"]
    assert result["torch"]["cuda"] is None and result["torch"]["nccl"] is None, "the build for the CPU"
    assert result.keys() == {"python", "packages", "torch"}, "nothing of the machine"


IN_THE_IMAGE = ("nemo_base", "dapt", "sft", "dpo", "evaluate", "export_hf", "export_nemo")
"""Scripts that run in the container image."""
OF_THE_PAGE = {"pyslang"}
"""Packages that a task imports only to measure its results for the page, in the environment data."""


def test_everything_that_a_program_in_the_image_imports_is_probed() -> None:
    plugins = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in ("models/*/__init__", "evals/tasks/*", "train/methods/*")
        for path in sorted((ROOT / "tapeout").glob(f"{folder}.py"))
    ]
    plugins = [one for name in plugins for one in (_loaded(name) if ".evals.tasks." in name else [name])]
    names: set[str] = set()
    for script in IN_THE_IMAGE:
        for file in closure(ROOT / "scripts" / f"{script}.py", ROOT, plugins):
            for node in ast.walk(ast.parse((ROOT / file).read_text())) if file.endswith(".py") else ():
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names |= {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    packages = {name: set(found) for name, found in packages_distributions().items()} | {"google": {"protobuf"}}
    probed = {canonical(name) for name in MODULES}
    for name in names - {"tapeout", *OPTIONAL, *OF_THE_PAGE}:
        assert {canonical(package) for package in packages[name]} & probed, name


def _loaded(task: str) -> list[str]:
    """Return the module by which a task runs models in the image: its sampler if it has two steps, or none."""
    found = import_module(task).TASK
    if isinstance(found, SampledTask):
        return [found.sampler]
    return [task] if found.environment == NEMO else []


def canonical(package: str) -> str:
    return package.lower().replace("_", "-")


def test_a_version_without_a_build_matches_all_builds() -> None:
    build = locked()["torch"]
    assert "+" in build
    probe({"torch": build.partition("+")[0]})
    with pytest.raises(StepFailed, match="torch is "):
        probe({"torch": build.partition("+")[0] + "+cu129"})


def test_all_mismatches_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)  # makes the import fail
    monkeypatch.setattr(module, "MIN_PYTHON", (99, 1))
    with pytest.raises(StepFailed) as raised:
        probe({"nemo-toolkit": "2.5.0", "transformer-engine": "2.4", "sentencepiece": locked()["sentencepiece"]})
    message = raised.value.cause
    assert f"nemo-toolkit is {locked()['nemo-toolkit']}, 2.5.0 is expected" in message
    assert "transformer-engine is not installed, 2.4 is expected" in message
    assert "typer cannot be imported" in message and "too old for the programs" in message
    assert "sentencepiece" not in message


def test_as_a_program(tmp_path: Path) -> None:
    """A mismatch ends it with the two sentences and no output; without one it writes the same bytes each time.

    One of three is a process that imports the packages; two are forks of one that has done so.
    """

    def command(packages: dict[str, str], output: str) -> list[str]:
        (tmp_path / "params.json").write_text(json.dumps({"packages": packages}))
        options = ["--params", str(tmp_path / "params.json"), "--output", str(tmp_path / output)]
        return ["scripts/probe.py", *options]

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def fork(packages: dict[str, str], output: str) -> subprocess.CompletedProcess[str]:
        return run_module([sys.executable, "-m", *command(packages, output)], ROOT, environment, 300, IMPORTED)

    done = fork({"torch": "1.0"}, "no.json")
    assert done.returncode == 1 and not (tmp_path / "no.json").exists()
    last = done.stderr.rstrip().splitlines()[-2:]
    assert last[0].startswith("StepFailed: ") and last[1].startswith("  fix: ")
    assert fork({}, "a.json").returncode == 0
    new_process = [sys.executable, *command({}, "b.json")]
    assert subprocess.run(new_process, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}).returncode == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
