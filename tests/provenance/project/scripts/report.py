"""The size of each source."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--sources", type=Path, action="append")
parser.add_argument("--params", type=Path)
parser.add_argument("--output", type=Path)
given = parser.parse_args()
sizes = {source.name: sum(path.stat().st_size for path in source.iterdir()) for source in given.sources}
given.output.write_text("".join(f"{name} {size}\n" for name, size in sorted(sizes.items())))
