"""Sort the words of the source."""

from lib.options import read
from lib.words import words

inputs, params, output = read("raw")
output.write_text("\n".join(words(inputs["raw"][0].read_text())) + "\n")
