"""Steps in NeMo's environment, as forks of processes that have imported NeMo or PyTorch, which takes many seconds.

``use`` replaces the last lines of the sandbox in a copy of the project. A step remains an isolated process of its own,
with its own folder, variables and output. Those of steps with NeMo have modules of the project from this folder, of
which the copy has the same ones. Other programs start in the ordinary way, and so do all steps of the graph that the
tests of a finished one share; another folder with forks gives the same bytes.
"""

import os
import tempfile
import uuid
from functools import cache
from pathlib import Path

from tapeout.graph.identity.constants import CONSTANTS
from tapeout.graph.identity.environment import read_environment
from tests.starter import FORWARD, NEMO, listen

ROOT = Path(__file__).resolve().parents[2]
SERVERS = {
    NEMO: ("automodel_lora", "dapt", "dpo", "export_hf", "export_nemo", "lora", "nemo_base", "sft"),
    ("torch", "transformers.models.llama.modeling_llama", "safetensors.torch", "sentencepiece"): (
        *("base_extended", "base_huggingface", "base_tiny", "evaluate", "merged"),
    ),
}
"""Modules that a process has imported, and the scripts that start as its forks; only NeMo's need the shim."""
CLIENT = """

def fork(specification: list[str], command: list[str]) -> None:
    name = NAMES.get(command[1].rpartition("/")[2])
    if name is not None and "/NEMO\\"" in Path(specification[0]).read_text():
        forward(name, {"specification": specification, "arguments": command})


if __name__ == "__main__":
    fork(sys.argv[1:3], sys.argv[sys.argv.index("--") + 1 :])
    main()
"""
"""Replacement of the last lines of the sandbox in a copy of the project, after ``FORWARD``."""


@cache
def _client() -> str:
    """Return the text of the client, and start what it connects to."""
    nemo = read_environment("nemo", ROOT).folder
    inherited = {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY") if name in os.environ
    }
    names: dict[str, str] = {}
    for packages, scripts in SERVERS.items():
        name = f"tapeout-tests-{uuid.uuid4()}"
        variables = {**inherited, **CONSTANTS, "HOME": tempfile.mkdtemp()}
        listen(packages, name, str(ROOT / nemo / "bin/python"), variables)
        names |= {f"{script}.py": name for script in scripts}
    return f"\n{FORWARD}{CLIENT.replace('NAMES', repr(names)).replace('NEMO', nemo.name)}"


def use(project: Path) -> None:
    """Let the sandbox of a copy of the project ask for forks."""
    sandbox = project / "tapeout/graph/launch/sandbox.py"
    text, end = sandbox.read_text(), '\n\nif __name__ == "__main__":\n    main()\n'
    assert text.endswith(end)
    sandbox.write_text(text.removesuffix(end) + _client())
