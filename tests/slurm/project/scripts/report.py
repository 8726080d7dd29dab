"""Write a summary of the result."""

from lib.options import read

inputs, _, output = read("model")
output.write_text(f"the model: {inputs['model'][0].read_text()}")
