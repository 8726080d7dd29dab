"""Combine model and notes."""

from lib.options import read
from lib.words import words

inputs, params, output = read("model", "notes")
texts = [path.read_text() for path in inputs["model"] + inputs["notes"]]
output.write_text(" ".join(words(" ".join(texts))) + "\n")
