"""Sort the lines, without the remarks."""

from lib.options import read

inputs, _, output = read("raw")
lines = inputs["raw"][0].read_text().splitlines()
output.write_text("".join(f"{line}\n" for line in sorted(lines) if not line.startswith("#")))
