"""The command line of a step."""

import argparse
import json
from pathlib import Path


def read(*names: str) -> tuple[dict[str, list[Path]], dict[str, int], Path]:
    """Return inputs by name, parameters and output."""
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}", type=Path, action="append")
    parser.add_argument("--params", type=Path)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    return {name: getattr(given, name) for name in names}, json.loads(given.params.read_bytes()), given.output
