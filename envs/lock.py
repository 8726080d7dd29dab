"""Write the locks: every requirement with its exact version and the hashes of the files that may be used.

``make lock`` runs this in the development environment. The resolver is uv; for the nemo environments nothing is
resolved, because their lists are complete.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESOLVED = ["workflow", "dev", "data", "corpus", "tracking"]
COMPLETE = ["nemo", "nemo-cuda", "peft"]


def compile_lock(name: str, *options: str) -> str:
    """Resolve ``name``.in and return the lock's text."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", *options, f"{name}.in"]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write all locks."""
    for name in RESOLVED:
        (HERE / f"{name}.lock").write_text(compile_lock(name))
    for name in COMPLETE:
        also = (HERE / "torch-cpu.txt").read_text() if name == "nemo" else ""
        (HERE / f"{name}.lock").write_text(compile_lock(name, "--no-deps") + also)


if __name__ == "__main__":
    main()
