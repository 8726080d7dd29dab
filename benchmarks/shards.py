"""Measure the content layer on a graph of many shards: a no-op, and one changed shard (G16).

Run ``python benchmarks/shards.py --shards 2000 --folder /somewhere/new`` in the development environment. The same graph
is timed in plain Snakemake. The first build of the layered graph runs the programs and seals their output without
Snakemake, because the benchmark does not measure the scheduling of thousands of jobs.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

from tapeout.cli.project import load
from tapeout.graph.identity.action import Action, Recipe, Reference
from tapeout.graph.identity.environment import read_environment
from tapeout.graph.identity.installation import complete
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan.decide import in_order
from tapeout.graph.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5


def lay_out(folder: Path) -> None:
    """Copy project and library, and create the environment, which has only the standard library."""
    shutil.copytree(ROOT / "benchmarks" / "shards_project", folder)
    shutil.copytree(ROOT / "profiles" / "default", folder / "profiles" / "default")
    shutil.copytree(ROOT / "tapeout", folder / "tapeout", ignore=shutil.ignore_patterns("__pycache__"))
    environment = read_environment("light", folder)
    venv.create(folder / environment.folder, with_pip=False)
    complete(folder / environment.folder, environment.digest, environment.interpreter)


def run_program(recipe: Recipe, action: Action, workspace: Workspace) -> Manifest:
    """Run a step's program as the runner would, and seal its output."""
    scratch = workspace.work / action.digest
    scratch.mkdir(parents=True)
    (scratch / "params.json").write_text(json.dumps(recipe.params))
    output = scratch / Path(recipe.artifact).name
    command = [sys.executable, recipe.script]
    for name, value in sorted(recipe.inputs.items()):
        for reference in [value] if isinstance(value, Reference) else value:
            command += [f"--{name}", str(workspace.artifact_path(reference.artifact) / reference.path)]
    command += ["--params", str(scratch / "params.json"), "--output", str(output)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    manifest = Manifest.of(output, recipe.artifact, action.digest)
    workspace.store.seal(action, manifest, output)
    workspace.publish(manifest)
    shutil.rmtree(scratch)
    return manifest


def build_layered(shards: int) -> None:
    """Build every artifact of the layered graph."""
    Path("config.json").write_text(json.dumps({"shards": shards}))
    project = load([Path("config.json")])
    manifests: dict[str, Manifest] = {}
    for name in in_order(project.recipes, list(project.recipes)):
        recipe = project.recipes[name]
        manifests[name] = run_program(recipe, recipe.action(manifests.__getitem__), project.workspace)


def build_bare(shards: int) -> None:
    """Write the outputs of the plain graph, and let Snakemake record them as its own."""
    for name in ("corpus", "clean", "count"):
        Path("bare", name).mkdir(parents=True)
        for number in range(shards):
            Path("bare", name, f"{number:05d}.txt").write_text("6\n" if name == "count" else f"{number:05d}\n")
    Path("bare/index.txt").write_text("6\n" * shards)
    plain(shards, "--touch", "--cores", "1")


def snakemake(*arguments: str) -> tuple[float, str]:
    """Return the seconds and the output of one call."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "snakemake", *arguments], capture_output=True, text=True, check=True)
    return time.monotonic() - started, done.stdout + done.stderr


def plain(shards: int, *arguments: str) -> tuple[float, str]:
    """Call plain Snakemake with its own defaults."""
    return snakemake("-s", "bare.smk", "--profile", "none", "--config", f"shards={shards}", *arguments)


def layered(shards: int, *arguments: str) -> tuple[float, str]:
    """Call Snakemake with the content layer."""
    return snakemake("--configfile", "config.json", *arguments)


def measure(shards: int) -> dict[str, float | int]:
    """Time no-ops in alternation, then one changed shard."""
    times: dict[str, list[float]] = {"plain -n": [], "layered -n": [], "layered run": []}
    for _ in range(REPEATS):
        times["plain -n"].append(plain(shards, "-n", "-q")[0])
        times["layered -n"].append(layered(shards, "-n", "-q")[0])
        times["layered run"].append(layered(shards)[0])
    figures: dict[str, float | int] = {name: round(statistics.median(values), 2) for name, values in times.items()}
    Path("src/changed.txt").write_text("00007\n")
    seconds, output = layered(shards)
    figures |= {"changed shard": round(seconds, 2), "jobs for it": len(re.findall(r"^\+ ", output, re.MULTILINE))}
    print(output[-3000:], file=sys.stderr)
    return figures


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=2000)
    parser.add_argument("--folder", type=Path, required=True, help="new folder")
    options = parser.parse_args()
    lay_out(options.folder)
    os.chdir(options.folder)
    build_layered(options.shards)
    build_bare(options.shards)
    print(json.dumps({"shards": options.shards, **measure(options.shards)}, indent=2))


if __name__ == "__main__":
    main()
