"""The program of a step sees nothing of the user who runs it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.code import closure
from tapeout.graph.run.build import execute
from tapeout.graph.run.step import Step
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import Project

PROGRAM = '''"""Write down everything of the machine's user that a library would find."""

import argparse
import getpass
import json
import os
import site
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--params")
parser.add_argument("--output", type=Path)
output = parser.parse_args().output
umask = os.umask(0)
home = Path.home()
paths = ("HOME", "TMPDIR")
seen = {
    "variables": {k: v for k, v in os.environ.items() if k not in paths and k != "TAPEOUT_USER_HOME"},
    "home": sorted(path.name for path in home.rglob("*")),
    "home can be written": os.access(home, os.W_OK),
    "umask": umask,
    "user": getpass.getuser(),
    "user site": site.ENABLE_USER_SITE,
    "time zone": time.tzname[0],
    "encoding": sys.getfilesystemencoding(),
    "cache of downloads": os.environ.get("TAPEOUT_USER_HOME"),
}
(home / ".cache").mkdir()
output.write_text(json.dumps(seen, sort_keys=True, indent=1))
'''


def seen_by_a_step(project: Project, fetches: bool) -> dict[str, Any]:
    """Return what the program of a step sees; its action is the same in each call."""
    script = Path("scripts/seen.py")
    script.write_text(PROGRAM)
    light = project.environment("light")
    code = closure(script, Path())
    recipe = Recipe("seen.json", "seen", str(script), code, "light", light.digest, {}, {}, fetches=fetches)
    workspace = Workspace.here()
    action = Action(recipe.describe({}))
    workspace.mark(recipe.artifact, State.BUILD, action)
    step = Step(workspace, recipe, action, 1, Path("logs/seen.log"))
    execute(step)
    seen: dict[str, Any] = json.loads(step.output.read_bytes())
    assert seen.pop("cache of downloads") == (os.environ["HOME"] if fetches else None)
    return seen


@pytest.mark.parametrize("fetches", [False, True])
def test_a_hostile_home_and_environment_change_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetches: bool
) -> None:
    """Only a step that fetches gets the user's credentials."""
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("HF_TOKEN", "hf_own")
    plain = seen_by_a_step(project, fetches)
    assert plain["variables"].get("HF_TOKEN") == ("hf_own" if fetches else None)
    assert plain["home"] == [] and plain["home can be written"]
    home = tmp_path / "home"
    for name in (".config/matplotlib/matplotlibrc", ".gitconfig", ".netrc", ".pip/pip.conf", ".huggingface/token"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("hostile")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "LOGNAME", "MPLBACKEND", "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS"):
        monkeypatch.setenv(name, "tr_TR.ISO-8859-9")
    for name in ("PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONHASHSEED", "GIT_CONFIG_GLOBAL", "MATPLOTLIBRC"):
        monkeypatch.setenv(name, "1")
    umask = os.umask(0o077)
    try:
        hostile = seen_by_a_step(project, fetches)
    finally:
        os.umask(umask)
    assert hostile == plain
