"""Debian packages of programs that tests start: check that they are installed, and install them if permitted.

Uses the standard library alone.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def missing(programs: Mapping[str, str]) -> list[str]:
    """Return the packages whose programs are missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return sorted({package for program, package in programs.items() if shutil.which(program, path=path) is None})


def require(tests: str, programs: Mapping[str, str], others: Sequence[str], switch: str) -> int:
    """Install the missing packages, or print them and how to install them.

    Args:
        tests: the tests that need them, for messages.
        programs: package of each program.
        others: packages without a program, installed with the missing ones.
        switch: variable of ``make test`` that leaves the tests out.

    Returns:
        Exit status: 0 if everything is installed.
    """
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # apt-get does not wait for another one that updates the lists
        packages = missing(programs)
        if packages and (status := install(tests, packages, others, switch)):
            return status
        return 1 if missing(programs) else 0


def install(tests: str, packages: Sequence[str], others: Sequence[str], switch: str) -> int:
    """Install packages, or print how; see ``require``."""
    # another apt-get on the machine may hold dpkg's lock for a while
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    command = ["apt-get", *wait, "install", "-y", "-qq", "--no-install-recommends", *packages, *others]
    if os.geteuid() or shutil.which("apt-get") is None:
        print(
            f"{tests} need {', '.join(packages)}, and this user cannot install them.\n"
            f"  fix: As root, on Debian 12: {' '.join(command)}. Or leave them out: make test {switch}=no",
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
    return 0
