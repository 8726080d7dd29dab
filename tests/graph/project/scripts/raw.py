"""Copy the source."""

from pathlib import Path

from lib.options import read

_, params, output = read()
output.write_bytes(Path("src/data.txt").read_bytes())
