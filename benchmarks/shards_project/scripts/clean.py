"""Clean a shard."""

from lib.options import read

inputs, _, output = read("corpus")
output.write_text(inputs["corpus"][0].read_text().strip() + "\n")
