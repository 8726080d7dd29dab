"""The section ``container``, and its effect on the whole graph."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tapeout.config.container import Container
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.graph.identity.environment import read_environment
from tests.starter import run_module

ROOT = Path(__file__).parents[2]
DIGEST = "ab" * 32
TASKS = ("bits_per_byte", "instruction_answers/rtl", "multiple_choice")
EVALUATED = [f"evaluation/{model}/{task}.json" for model in ("base", "dapt", "sft") for task in TASKS]
IN_NEMO = ["dapt/model", *EVALUATED, "evaluation/tokenizer.surgery/bits_per_byte.json"]
IN_NEMO += ["export/hf", "nemo/base.nemo"]
IN_NEMO += [f"samples/{model}/verilog_generation/rtl_problems/0.jsonl" for model in ("base", "dapt", "sft")]
IN_NEMO += ["sft/model"]
RECIPES = """
import json, sys
from pathlib import Path
from tapeout.cli.project import load
recipes = load([Path(name) for name in sys.argv[2:]], sys.argv[1]).recipes
print(json.dumps({name: recipe.describe({"needs": recipe.dependencies()}) for name, recipe in recipes.items()}))
"""


@pytest.mark.parametrize(
    "image",
    [f"nvcr.io/nvidia/nemo@sha256:{DIGEST}", f"localhost:5000/a/b:1.2@sha256:{DIGEST}", f"nemo@sha256:{DIGEST}"],
)
def test_images_by_digest(image: str) -> None:
    assert Container(image=image).image == image


@pytest.mark.parametrize("image", ["nvcr.io/nvidia/nemo:25.07", "nemo", f"nemo@{DIGEST}", f"nemo@sha256:{DIGEST[1:]}"])
def test_a_tag_alone_is_refused_with_the_reason(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InvalidConfig) as found:
        load({**yaml.safe_load(Path("config/default.yaml").read_text()), "container": {"image": image}})
    assert "container.image: the image " in found.value.cause
    assert f"{image} has no digest; a tag can be moved to another image" in found.value.cause


def test_packages_are_those_of_an_image() -> None:
    given = {"nemo_toolkit": "2.4.1", "Torch": "2.8.0"}
    found = Container.model_validate({"image": f"nemo@sha256:{DIGEST}", "packages": given})
    assert found.packages == {"nemo-toolkit": "2.4.1", "torch": "2.8.0"}
    with pytest.raises(ValueError, match="there is no image"):
        Container.model_validate({"packages": given})


def recipes(folder: Path, target: str, config: str = "") -> dict:
    """The recipes of the whole graph under a configuration."""
    names = ("Snakefile", "rules", "scripts", "config", "envs", "profiles", "tapeout")
    for name in () if folder.exists() else names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        folder.mkdir(exist_ok=True)
        copy(ROOT / name, folder / name)
    files = []
    if config:
        (folder / "my.yaml").write_text(config)
        files = ["my.yaml"]
    (folder / "print_recipes.py").write_text(RECIPES)
    done = run_module([sys.executable, "-m", "print_recipes", target, *files], folder, dict(os.environ), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_make_environments_installs_what_the_default_graph_needs(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    (installed,) = re.findall(
        r"^environments:\n\t@\$\(INSTALL\) \$\(CHECK\) ([a-z ]+) \$\(ADD\)", makefile, re.MULTILINE
    )
    needed = {recipe["environment"]["name"] for recipe in recipes(tmp_path / "all", "all").values()}
    assert needed <= set(installed.split())


def test_in_a_container_nothing_of_nemo_runs_before_the_probe(tmp_path: Path) -> None:
    """The steps in NeMo have the container and wait for the probe; only the facts of the report differ besides."""
    bare = recipes(tmp_path / "project", "eval_report")
    config = f"container: {{image: nemo@sha256:{DIGEST}, packages: {{nemo_toolkit: 2.4.1}}}}"
    contained = recipes(tmp_path / "project", "eval_report", config)
    differing = [name for name in contained if contained[name] != bare.get(name)]
    differing.remove("eval_report")
    reports = [{**found["eval_report"], "params": {**found["eval_report"]["params"]}} for found in (bare, contained)]
    facts = [report["params"].pop("facts") for report in reports]
    assert reports[0] == reports[1]
    assert facts[1]["versions"] == {"nemo-toolkit": "2.4.1"} and len(facts[0]["versions"]) > 3
    assert sorted(differing) == sorted([*IN_NEMO, "probe.json"]) and "probe.json" not in bare
    for name in differing:
        assert contained[name]["environment"] == {"name": "container", "digest": DIGEST, "python": "python3"}
        assert ("probe.json" in contained[name]["inputs"]["needs"]) == (name != "probe.json")
    assert contained["probe.json"]["params"] == {"packages": {"nemo-toolkit": "2.4.1"}}


def test_bare_the_probe_asks_for_the_locks_versions(tmp_path: Path) -> None:
    probe = recipes(tmp_path / "project", "probe.json")["probe.json"]
    packages = read_environment("nemo", ROOT).packages
    assert {"torch", "nemo-toolkit", "megatron-core", "transformers"} <= probe["params"]["packages"].keys()
    assert probe["params"]["packages"].items() <= packages.items()
    assert probe["environment"]["name"] == "nemo"
