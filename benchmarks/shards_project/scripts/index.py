"""Join the counts."""

from lib.options import read

inputs, _, output = read("counts")
output.write_text("".join(path.read_text() for path in inputs["counts"]))
