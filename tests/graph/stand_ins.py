"""Stand-ins for container runtimes on PATH: they check the arguments, not the isolation (tests/slurm/stand_ins)."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "slurm" / "stand_ins"


@dataclass(frozen=True)
class StandIns:
    """A folder for PATH with ``apptainer`` and ``srun``, and the calls that they recorded."""

    folder: Path

    def calls(self, runtime: str) -> list[dict[str, Any]]:
        """Return the calls of a runtime, in order."""
        record = self.folder / "record.jsonl"
        found = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        return [call for call in found if call["runtime"] == runtime]


def stand_ins(folder: Path, python: Path, srun: str | None = None) -> StandIns:
    """Create the folder.

    Args:
        folder: its path.
        python: the program that ``python3`` starts inside a container.
        srun: the real srun, which starts what the stand-in has checked.
    """
    folder.mkdir(parents=True)
    shutil.copy(FOLDER / "apptainer", folder / "apptainer")
    shutil.copy(FOLDER / "srun_pyxis", folder / "srun")
    settings = {"python": str(python), "record": str(folder / "record.jsonl"), "srun": srun}
    (folder / "stand_in.json").write_text(json.dumps(settings))
    return StandIns(folder)
