"""Print the table of docs/slurm.md: nodes, memory and hours by model size, as ``tapeout cost`` forecasts them.

``python -m benchmarks.sizes`` in the project's folder, in the workflow environment. Nothing is run.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from tapeout.config.base import USUAL_ROWS
from tapeout.config.bases.tiny import Base
from tapeout.config.training import Layout

CONFIGS = sorted((Path(__file__).parent / "sizes").glob("*.yaml"), key=lambda path: int(path.stem.removesuffix("b")))
NEW_PIECES = 768
"""The default of the section tokenizer."""


def row(path: Path) -> str:
    """Return one line of the table."""
    config = yaml.safe_load(path.read_text())
    layout = Layout.model_validate(config["dapt"]["layout"])
    model, vocabulary = Base.model_validate(config["base"]).architecture, USUAL_ROWS + NEW_PIECES
    command = [sys.executable, "-m", "tapeout.cli", "cost", "sft/model", "--configfile", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    steps = {step["artifact"]: step for step in json.loads(done.stdout)["steps"]}
    dapt, sft = steps["dapt/model"], steps["sft/model"]
    now, shared = (
        model.training_bytes(vocabulary, layout.tensor_model_parallel_size, data=data) / 2**30
        for data in (1, layout.replicas)
    )
    cells = [
        f"{model.parameter_count(vocabulary) / 1e9:.1f} B",
        f"{layout.num_nodes} x {layout.devices}",
        str(layout.tensor_model_parallel_size),
        f"{now:.0f} GiB",
        f"{shared:.0f} GiB",
        f"{dapt['gpu_hours']:,.0f}",
        f"{dapt['seconds'] / 3600:.0f} h",
        f"{sft['gpu_hours']:,.0f}",
        f"{dapt['stored'] / 1e9:.0f} GB",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    head = "| model | nodes x H100 | tensor | a GPU holds | shared | DAPT, GPU hours | takes | SFT, GPU hours | store |"
    print(head, "|---|---|---|---|---|---|---|---|---|", *(row(path) for path in CONFIGS), sep="\n")


if __name__ == "__main__":
    main()
