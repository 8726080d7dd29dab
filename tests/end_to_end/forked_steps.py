"""Steps in NeMo's environment, as forks of processes that have imported NeMo or PyTorch, which takes many seconds.

``use`` replaces the last lines of the sandbox in a copy of the project. A step remains an isolated process of its own,
with its own folder, variables and output. Those of steps with NeMo have modules of the project from this folder, of
which the copy has the same ones. Other programs start in the ordinary way, and so do all steps of test_graph.py.
"""

import os
import tempfile
import uuid
from functools import cache
from pathlib import Path

from tapeout.graph.identity.constants import CONSTANTS
from tapeout.graph.identity.environment import read_environment
from tests.starter import NEMO, listen

ROOT = Path(__file__).resolve().parents[2]
SERVERS = {
    NEMO: ("automodel_lora", "dapt", "dpo", "export_hf", "export_nemo", "nemo_base", "sft"),
    ("torch", "transformers.models.llama.modeling_llama", "safetensors.torch", "sentencepiece"): (
        *("base_extended", "base_huggingface", "base_tiny", "evaluate", "merged"),
    ),
}
"""Modules that a process has imported, and the scripts that start as its forks; only NeMo's need the shim."""
CLIENT = """

def fork(specification: list[str], command: list[str]) -> None:
    name = {names}.get(command[1].rpartition("/")[2])
    if name is None or "/{nemo}\\"" not in Path(specification[0]).read_text():
        return
    import signal
    import socket
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect("\\0" + name)
        request = {{"specification": specification, "arguments": command, "cwd": os.getcwd(), "env": dict(os.environ)}}
        socket.send_fds(server, [json.dumps(request).encode()], [1, 2, writer])
    os.close(writer)
    child = int(os.read(reader, 16))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _: os.kill(child, number))
    status = int(os.read(reader, 16))
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    fork(sys.argv[1:3], sys.argv[sys.argv.index("--") + 1 :])
    main()
"""
"""Replacement of the last lines of the sandbox in a copy of the project."""


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
        listen(ROOT / nemo / "bin/python", packages, {**inherited, **CONSTANTS, "HOME": tempfile.mkdtemp()}, name)
        names |= {f"{script}.py": name for script in scripts}
    return CLIENT.format(names=names, nemo=nemo.name)


def use(project: Path) -> None:
    """Link the environments of this project into a copy of it, whose sandbox asks for forks."""
    (project / ".envs").symlink_to(ROOT / ".envs")
    sandbox = project / "tapeout/graph/launch/sandbox.py"
    text, end = sandbox.read_text(), '\n\nif __name__ == "__main__":\n    main()\n'
    assert text.endswith(end)
    sandbox.write_text(text.removesuffix(end) + _client())
