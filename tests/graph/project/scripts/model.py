"""Write a folder whose content depends on all parameters and inputs."""

import json
import time

from lib.options import read

inputs, params, output = read("formatted")
time.sleep(params.pop("pause"))
output.mkdir()
(output / "weights.txt").write_text(inputs["formatted"][0].read_text() + str(params["lr"] + params["wd"]))
(output / "params.json").write_text(json.dumps(params, sort_keys=True))
