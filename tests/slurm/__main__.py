"""Start a Slurm cluster by hand: ``python -m tests.slurm FOLDER``, which prints how to use it; ``--stop`` ends it."""

import argparse
from pathlib import Path

from tests.slurm.cluster import Cluster


def main() -> None:
    """Start or stop a cluster by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stop", action="store_true")
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder.absolute())
    if arguments.stop:
        cluster.stop()
        return
    cluster.start()
    for name, value in cluster.variables.items():
        print(f"export {name}={value}")


if __name__ == "__main__":
    main()
