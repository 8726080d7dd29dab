"""Write a note in one language."""

from lib.options import read

_, params, output = read()
output.write_text(f"note in {params['language']}\n")
