"""Copy the files of all shards into one folder."""

import shutil

from lib.options import read

inputs, params, output = read("shards", "report")
for number, shard in enumerate(inputs["shards"]):
    shutil.copytree(shard, output / str(number))
shutil.copyfile(inputs["report"][0], output / "report.txt")
