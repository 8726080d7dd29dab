"""Run steps of a configuration on another machine, without Snakemake and its environments, and print the losses.

It is for a GPU on a machine that is lent for minutes. Here, in the workflow environment, with the inputs of the steps
in ``results/``:

    python -m benchmarks.steps_elsewhere pack FOLDER --configfile FILE ARTIFACT ...

There, in an environment with NeMo and a CUDA build of PyTorch, with the project and FOLDER:

    python -m benchmarks.steps_elsewhere run FOLDER OUTPUT

A step starts as soon as its inputs exist; steps that do not depend on each other run at the same time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

PLAN = "plan.json"
Step = dict[str, Any]


def pack(folder: Path, configfiles: list[Path], artifacts: list[str], without: list[str]) -> None:
    """Write the plan of the steps, and copy what they read and no other of them makes.

    Args:
        folder: new folder.
        configfiles: the configuration.
        artifacts: artifacts that the steps make.
        without: artifacts that are not copied, because they reach the other machine by other means.
    """
    from tapeout.cli import project

    loaded = project.load(configfiles)
    recipes = loaded.layer.recipes(artifacts)
    steps: list[Step] = []
    for name in artifacts:
        recipe = recipes[name]
        inputs = {
            key: [[item.artifact, item.path] for item in (value if isinstance(value, list) else [value])]
            for key, value in recipe.inputs.items()
            if not key.startswith("after_")
        }
        steps.append(
            {
                "artifact": name,
                "script": recipe.script,
                "params": recipe.params,
                "plugins": list(recipe.plugins),
                "threads": recipe.threads,
                "inputs": inputs,
            }
        )
    folder.mkdir(parents=True)
    (folder / PLAN).write_text(json.dumps(steps, indent=1))
    read = {item[0] for step in steps for items in step["inputs"].values() for item in items}
    for name in sorted(read - {*artifacts, *without}):
        source, target = loaded.workspace.artifact_path(name), folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, target)


def run(folder: Path, output: Path) -> bool:
    """Run all steps of a plan; print one line of JSON for each, and return whether all succeeded."""
    steps: list[Step] = json.loads((folder / PLAN).read_text())
    made: dict[str, Future[bool]] = {}
    with ThreadPoolExecutor(len(steps)) as pool:
        for step in steps:  # inputs come before the steps that read them
            names = {item[0] for items in step["inputs"].values() for item in items}
            needed = [made[name] for name in sorted(names & made.keys())]
            made[step["artifact"]] = pool.submit(run_step, step, needed, folder, output)
    return all(future.result() for future in made.values())


def run_step(step: Step, needed: list["Future[bool]"], folder: Path, output: Path) -> bool:
    """Run one step as soon as the steps that it needs have ended."""
    name, target = step["artifact"], output / step["artifact"]
    if not all(future.result() for future in needed):
        print(json.dumps({"step": name, "seconds": None, "reason": "a step that it reads failed"}), flush=True)
        return False
    scratch = output / "scratch" / name
    for path in (target.parent, scratch / "state", scratch / "tmp"):
        path.mkdir(parents=True, exist_ok=True)
    (scratch / "params.json").write_text(json.dumps(step["params"]))
    command = [sys.executable, step["script"], "--params", str(scratch / "params.json"), "--output", str(target)]
    for key, items in step["inputs"].items():
        for artifact, path in items:
            place = next(place for place in (output, folder) if (place / artifact).exists())
            command += [f"--{key.replace('_', '-')}", str(place / artifact / path if path else place / artifact)]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "TMPDIR": str(scratch / "tmp"),
        "TAPEOUT_STATE": str(scratch / "state"),
        "TAPEOUT_PLUGINS": ",".join(step["plugins"]),
        "TAPEOUT_THREADS": str(step["threads"]),
    }
    started = time.monotonic()
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    result: Step = {"step": name, "seconds": round(time.monotonic() - started), "status": done.returncode}
    if done.returncode:
        result["reason"] = done.stdout[-3000:]
    elif (target / "train_log.json").is_file():
        log = json.loads((target / "train_log.json").read_text())
        result["losses"] = [round(entry["loss"], 4) for entry in log["steps"]]
        result["validation"] = [round(entry["loss"], 4) for entry in log["validation"]]
        result["last step"] = log["steps"][-1]
    print(json.dumps(result), flush=True)
    return not done.returncode


def main() -> None:
    """Pack or run; exit with status 1 if a step fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write the plan of steps, and their inputs, into a folder")
    packing.add_argument("folder", type=Path)
    packing.add_argument("artifact", nargs="+", help="artifacts that the steps make; inputs before what reads them")
    packing.add_argument("--configfile", type=Path, action="append", default=[])
    packing.add_argument("--without", action="append", default=[], help="an input that is not copied")
    running = commands.add_parser("run", help="run the steps of a folder")
    running.add_argument("folder", type=Path)
    running.add_argument("output", type=Path)
    options = parser.parse_args()
    if options.command == "pack":
        pack(options.folder, options.configfile, options.artifact, options.without)
    elif not run(options.folder.absolute(), options.output.absolute()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
