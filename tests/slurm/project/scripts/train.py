"""Compute a chain of digests, like a training that stops and resumes; faults/train states the fault to simulate."""

import json
import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path

from lib.options import read

inputs, params, output = read("prepared")
machine = Path(params["machine"])  # a folder that the site mounts
state, stop = Path(os.environ["TAPEOUT_STATE"], "state.json"), Path(os.environ["TAPEOUT_STOP"])
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda *_: stop.touch())


def fault() -> list[str]:
    """Return the fault to simulate; a test changes it while the training runs."""
    path = machine / "faults" / "train"
    return (path.read_text().split() if path.exists() else []) or [""]


nodes = params["layout"]["num_nodes"]
if nodes > 1 and "TAPEOUT_NODES" in os.environ:
    (machine / "nodes").mkdir(exist_ok=True)
    (machine / "nodes" / os.environ["SLURMD_NODENAME"]).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    if os.environ["SLURM_NODEID"] != "0":
        sys.exit()
else:
    (machine / "gpus").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))

step, value = 0, inputs["prepared"][0].read_text()
if state.exists():
    step, value = json.loads(state.read_text())
    print(f"resuming at step {step}", flush=True)
while step < params["steps"]:
    kind, *values = fault()
    if kind == "exit":
        sys.exit("the data is not suitable")
    if kind == "memory":
        hoard = [bytes([1]) * 100_000_000 for _ in range(int(values[0]))]
        time.sleep(60)  # until Slurm, which checks once a second, ends it
    if kind == "deaf":
        time.sleep(1000)  # longer than the job's time limit, which must end it
    begun = time.monotonic()
    while fault()[0] == "slow" and time.monotonic() < begun + float(fault()[1]) and not stop.exists():
        time.sleep(0.1)
    step, value = step + 1, sha256(value.encode()).hexdigest()
    print("@progress " + json.dumps({"done": step, "total": params["steps"], "loss": 1 / step}), flush=True)
    if stop.exists() and step < params["steps"]:
        temporary = state.with_suffix(".tmp")
        temporary.write_text(json.dumps([step, value]))
        temporary.rename(state)
        print(f"state saved at step {step}", flush=True)
        sys.exit(os.EX_TEMPFAIL)
output.mkdir()
(output / "weights.txt").write_text(f"{value}\n")
