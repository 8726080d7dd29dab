"""Check that Slurm's programs are installed, and install them if permitted: ``python3 -m tests.slurm.require``.

Uses the standard library alone. Nothing is started and nothing outside the packages is changed: the tests start
separate daemons with separate configurations.
"""

import os
import shutil
import subprocess
import sys

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


def missing() -> list[str]:
    """Return the packages whose programs are missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return sorted({package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None})


def main() -> int:
    """Install the missing packages, or print them and how to install them."""
    packages = missing()
    if not packages:
        return 0
    # another apt-get on the machine may hold dpkg's lock for a while
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    command = ["apt-get", *wait, "install", "-y", "-qq", "--no-install-recommends", *packages, *ALWAYS]
    if os.geteuid() or shutil.which("apt-get") is None:
        print(
            f"The tests on a real Slurm need {', '.join(packages)}, and this user cannot install them.\n"
            f"  fix: As root, on Debian 12: {' '.join(command)}. Or leave them out: make test SLURM=no",
            file=sys.stderr,
        )
        return 1
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # no daemon is started
    print(f"installing {', '.join(packages)}", file=sys.stderr)
    for step in (["apt-get", *wait, "update", "-qq"], command):
        done = subprocess.run(step, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(f"{' '.join(step)} failed:\n{done.stdout[-2000:]}", file=sys.stderr)
            return 1
    return 1 if missing() else 0


if __name__ == "__main__":
    sys.exit(main())
