"""``tapeout pin``: the record of a Hugging Face repository at the commit that a branch is at now."""

import subprocess

from tapeout.cli.project import NAMED_ERROR
from tapeout.graph.identity.environment import read_environment


def pin(source: str, files: list[str], revision: str, name: str | None, as_json: bool) -> int:
    """Print the record; the hub's client is in the environment of the data steps, and so it runs there.

    Raises:
        InvalidEnvironment: it is not installed.
    """
    environment = read_environment("data")
    environment.require()
    command = [str(environment.python), "-m", "tapeout.sources.pin", source, "--revision", revision]
    for pattern in files:
        command += ["--file", pattern]
    command += ["--name", name] if name else []
    command += ["--json"] if as_json else []
    done = subprocess.run(command, check=False).returncode
    return NAMED_ERROR if done == 1 else done
