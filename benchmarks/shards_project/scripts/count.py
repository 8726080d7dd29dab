"""Count a shard's bytes."""

from lib.options import read

inputs, _, output = read("clean")
output.write_text(f"{len(inputs['clean'][0].read_bytes())}\n")
