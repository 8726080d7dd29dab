"""Copy the source."""

from pathlib import Path

from lib.options import read

_, _, output = read()
output.write_text(Path("src/data.txt").read_text())
