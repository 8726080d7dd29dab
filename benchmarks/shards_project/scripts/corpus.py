"""Write a document for each shard; src/changed.txt lists the changed ones."""

from pathlib import Path

from lib.options import read

_, params, output = read()
changed = set((Path("src") / "changed.txt").read_text().split())
output.mkdir()
for number in range(params["shards"]):
    name = f"{number:05d}"
    (output / f"{name}.txt").write_text(f"{name}{' changed' if name in changed else ''}\n")
