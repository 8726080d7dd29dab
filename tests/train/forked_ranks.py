"""Ranks of torchrun as forks of the process that has imported NeMo for the tests of this session.

torchrun starts the program ``PYTHON_EXEC`` in place of Python. Here that is a client, which passes on signals and ends
with the rank's status. This module is what runs in the fork: the rank, with the process that forked it as its starter,
because a rank ends with its parent.
"""

import os
import runpy
import sys
import uuid
from functools import cache
from pathlib import Path

from tests.starter import FORWARD, NEMO, listen

CLIENT = f"""#!{sys.executable} -IS
{FORWARD}

import sys
forward("NAME", {{"arguments": ["{__name__}", *sys.argv[2:]]}})
"""
"""Program that torchrun starts with ``-u``, a script and its arguments."""
IDS = "RANK_IDS"
"""Environment variable: a folder into which each rank writes its process id."""


@cache
def _name() -> str:
    """Return the name to which clients connect, after starting the process that answers."""
    name = f"tapeout-tests-{uuid.uuid4()}"
    listen(NEMO, name)
    return name


def use(folder: Path) -> dict[str, str]:
    """Return variables of a starter whose ranks shall be forks; the ranks write their process ids to ``folder``."""
    client = folder / "client"
    client.write_text(CLIENT.replace("NAME", _name()))
    client.chmod(0o755)
    return {"PYTHON_EXEC": str(client), IDS: str(folder)}


def process_id(folder: Path, local_rank: int) -> int:
    """Return the process id of a rank."""
    return int((folder / f"rank-{local_rank}").read_text())


if __name__ == "__main__":
    Path(os.environ[IDS], f"rank-{os.environ['LOCAL_RANK']}").write_text(str(os.getpid()))
    os.environ["TAPEOUT_STARTER"] = str(os.getppid())
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
