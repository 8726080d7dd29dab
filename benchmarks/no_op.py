"""Measure the overhead of the content layer when there is nothing to do: this project's graph against a bare one.

``python benchmarks/no_op.py`` in the project's folder, in the workflow environment, after ``make report``. The bare
Snakefile has one rule for each artifact, with the same inputs and with files of a few bytes.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tapeout.cli.project import load
from tapeout.graph.identity.action import Recipe

REPEATS = 7


def bare(recipes: dict[str, Recipe]) -> str:
    """Return a plain Snakefile with the graph of these recipes."""
    rules = []
    for number, (name, recipe) in enumerate(sorted(recipes.items())):
        inputs = ", ".join(repr(f"{needed}.out") for needed in recipe.dependencies())
        rules.append(
            f"rule r{number}:\n    input: {inputs}\n    output: {name + '.out'!r}\n    shell: 'touch {{output}}'\n"
        )
    everything = ", ".join(repr(f"{name}.out") for name in sorted(recipes))
    return f"rule all:\n    input: {everything}\n\n" + "\n".join(rules)


def seconds(folder: Path, *arguments: str) -> float:
    """Return how long one call of Snakemake takes."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=folder, capture_output=True, check=True)
    return time.monotonic() - started


def main() -> None:
    """Print medians and their ratio as JSON."""
    project = load([])
    size = sum(manifest.size for name in project.recipes if (manifest := project.workspace.manifest(name)))
    times: dict[str, list[float]] = {"plain -n": [], "tapeout -n": [], "tapeout run": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Snakefile").write_text(bare(project.recipes))
        seconds(folder, "--cores", "2")
        for _ in range(REPEATS):
            times["plain -n"].append(seconds(folder, "-n", "-q"))
            times["tapeout -n"].append(seconds(Path(), "eval_report", "-n", "-q"))
            times["tapeout run"].append(seconds(Path(), "eval_report"))
    medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
    ratio = round(medians["tapeout -n"] / medians["plain -n"], 2)
    print(json.dumps({"artifacts": len(project.recipes), "bytes": size, **medians, "ratio of -n": ratio}, indent=2))


if __name__ == "__main__":
    main()
