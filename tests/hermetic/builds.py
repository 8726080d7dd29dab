"""Build a small step once for each value in each way, and print what came out.

``python -m tests.hermetic.builds FOLDER WAY...`` prints one line of JSON for each way: two outcomes, if the actions are
the same, and how the programs were isolated. It runs in a process of its own, because the ways change variables, the
umask and open files of the process that builds.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.graph.identity.action import Action, Recipe, Reference
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.run.build import execute
from tapeout.graph.run.step import Step
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import PROJECT, Project
from tests.hermetic.places import World, release
from tests.hermetic.ways import WAYS

PROGRAM = '''"""Write what was found."""

import argparse
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("--params", "--output", "--given"):
    parser.add_argument(name, type=Path)
given = parser.parse_args()
assert given.given.read_text() == "first"
{program}
given.output.write_text(found)
'''


def given(workspace: Workspace, world: World) -> Manifest:
    """Publish an artifact of two files, of which the step declares one."""
    for name in ("first", "second"):
        world.write(f"{world.outside}/given/{name}.txt", name)
    action = Action({"artifact": "given", "schema": 0})
    manifest = Manifest.of(world.outside / "given", "given", action.digest)
    workspace.store.seal(action, manifest, world.outside / "given")
    workspace.publish(manifest)
    return manifest


def build(world: World, light: str) -> tuple[str, str, str]:
    """Return the program's output or its error, the action's digest, and the first line of the log."""
    workspace, script = Workspace.here(), Path("scripts/victim.py")
    recipe = Recipe(
        *("found.txt", "found", str(script), closure(script, Path()), "light", light, {}),
        {"given": Reference("given", "first.txt")},
    )
    manifest = workspace.manifest("given")
    assert manifest is not None
    action = recipe.action(lambda name: manifest)
    workspace.mark(recipe.artifact, State.BUILD, action)
    step = Step(workspace, recipe, action, 1, Path("logs/found.log"))
    try:
        execute(step)
        outcome = step.output.read_text()
    except TapeoutError as error:
        outcome = f"error: {error.cause}"
    return outcome, action.digest, step.log.read_text().partition("\n")[0] if step.log.exists() else outcome


def try_way(name: str, folder: Path) -> dict[str, object]:
    """Build with one value outside, then with another; return what came out."""
    place, program, *_ = WAYS[name]
    before, umask = dict(os.environ), os.umask(0o022)
    world = World(folder / "project", folder / "outside")
    world.outside.mkdir(exist_ok=True)
    world.write("lib/helper.py", "VALUE = 'v'\n")
    world.write("scripts/victim.py", PROGRAM.format(program=world.fill(program)))
    outcomes = []
    for value in ("one", "two"):
        place(world, value)
        try:
            outcomes.append(build(world, Project(world.root).environment("light").digest))
        finally:
            release()
            os.environ.clear()
            os.environ.update(before)
            os.umask(umask)
    first, second = outcomes
    return {"outcomes": [first[0], second[0]], "same": first[1] == second[1], "isolation": [first[2], second[2]]}


def main() -> None:
    """Try the ways that the command line names."""
    folder = Path(sys.argv[1])
    for number, name in enumerate(sys.argv[2:]):
        own = folder / str(number)
        shutil.copytree(PROJECT, own / "project")
        if number:
            (own / "project/.envs").symlink_to(folder / "0/project/.envs")
        else:
            Project(own / "project").install()
        os.chdir(own / "project")
        world = World(own / "project", own / "outside")
        world.outside.mkdir()
        given(Workspace.here(), world)
        print(json.dumps({"way": name, **try_way(name, own)}), flush=True)


if __name__ == "__main__":
    main()
