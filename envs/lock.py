"""Write the locks: every requirement with its exact version and the hashes of the files that may be used.

``make lock`` runs this in the development environment. The resolver is uv; for the nemo environments nothing is
resolved, because nemo.in is complete. A hash in ``also.txt`` is added to the lock's own (see there).
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESOLVED = ["workflow", "dev", "data"]
COMPLETE = ["nemo", "nemo-cuda"]


def compile_lock(name: str, *options: str) -> str:
    """Resolve ``name``.in and return the lock's text."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", *options, f"{name}.in"]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout


def add_hashes(text: str, also: str) -> str:
    """Add the hashes of ``also.txt`` (lines «package==version sha256») to the requirements that they belong to."""
    for line in also.splitlines():
        if line and not line.startswith("#"):
            requirement, digest = line.split()
            text = re.sub(
                rf"^({re.escape(requirement)}) \\\n", rf"\1 \\\n    --hash=sha256:{digest} \\\n", text, flags=re.M
            )
    return text


def main() -> None:
    """Write all locks."""
    also = (HERE / "also.txt").read_text()
    for name in RESOLVED:
        (HERE / f"{name}.lock").write_text(compile_lock(name))
    for name in COMPLETE:
        (HERE / f"{name}.lock").write_text(add_hashes(compile_lock(name, "--no-deps"), also if name == "nemo" else ""))


if __name__ == "__main__":
    main()
