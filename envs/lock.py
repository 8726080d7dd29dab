"""Write the locks: every requirement with its exact version and the hashes of the files that may be used.

``make lock`` runs this in the development environment. The resolver is uv; for the nemo environments nothing is
resolved, because their lists are complete.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESOLVED = ["workflow", "dev", "data", "browser", "corpus", "rtl", "tracking", "serve", "vllm", "lm_eval"]
COMPLETE = ["nemo", "nemo-cuda", "peft"]
WITH_TORCH = ["nemo", "serve", "vllm", "lm_eval"]
"""Environments with torch's CPU build, whose file no package index lists."""


def compile_lock(name: str, *options: str) -> str:
    """Resolve ``name``.in and return the lock's text."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", *options, f"{name}.in"]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write all locks."""
    torch = (HERE / "torch-cpu.txt").read_text()
    for name in RESOLVED:
        options = ["--overrides", "without-torch.txt"] if name in WITH_TORCH else []
        (HERE / f"{name}.lock").write_text(compile_lock(name, *options) + (torch if name in WITH_TORCH else ""))
    for name in COMPLETE:
        (HERE / f"{name}.lock").write_text(compile_lock(name, "--no-deps") + (torch if name in WITH_TORCH else ""))


if __name__ == "__main__":
    main()
