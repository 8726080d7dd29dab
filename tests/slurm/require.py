"""Install Slurm's programs if they are missing: ``python3 -m tests.slurm.require``.

Nothing is started and nothing outside the packages is changed: the tests start separate daemons with separate
configurations.
"""

import sys

from tests.debian import require

PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "sbatch": "slurm-client",
    "mariadbd": "mariadb-server",
    "bindfs": "bindfs",
}
"""Debian's package of each program that the tests need."""
ALWAYS = ["slurm-wlm-basic-plugins"]

if __name__ == "__main__":
    sys.exit(require("The tests on a real Slurm", PACKAGES, ALWAYS, "SLURM"))
