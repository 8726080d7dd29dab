"""Print the table of docs/slurm.md: nodes, memory and hours by model size, as ``tapeout cost`` forecasts them.

``python -m benchmarks.sizes`` in the project's folder, in the workflow environment. Nothing is run.
"""

import json
import subprocess
import sys

MODELS = ("llama2-7b", "llama2-13b", "llama2-70b")
GIB = 2**30


def row(model: str) -> str:
    """Return one line of the table."""
    config = f"config/models/{model}.yaml"
    command = [sys.executable, "-m", "tapeout.cli", "cost", "sft/model", "--configfile", config, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    value = json.loads(done.stdout)
    steps = {step["artifact"]: step for step in value["steps"]}
    dapt, sft, memory = steps["dapt/model"], steps["sft/model"], value["memory"]
    terms = memory["dapt/model"]["terms"]
    states = sum(terms[name] for name in ("weights", "gradients", "optimizer"))
    cells = [
        f"`{model}`",
        f"{memory['dapt/model']['nodes']} x {memory['dapt/model']['gpus_per_node']}",
        f"{states / GIB:.0f} GiB",
        *(f"{memory[name]['total'] / GIB:.0f} GiB" for name in ("dapt/model", "sft/model")),
        f"{dapt['gpu_hours']:,.0f}",
        f"{dapt['seconds'] / 3600:.0f} h",
        f"{sft['gpu_hours']:,.0f}",
        f"{value['at_most']['stored'] / 1e9:,.0f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    head = "| model | nodes x H100 | states | DAPT | SFT | DAPT, GPU hours | takes | SFT, GPU hours | store |"
    print(head, "|---|---|---|---|---|---|---|---|---|", *map(row, MODELS), sep="\n")


if __name__ == "__main__":
    main()
