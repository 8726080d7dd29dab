"""Steps in NeMo's environment, as forks of processes that have imported NeMo or PyTorch, which takes many seconds.

``use`` replaces the Python of that environment in a copy of the project. A step remains a process of its own, with its
own folder, variables and output. Those of steps with NeMo have modules of the project from this folder, of which the
copy has the same ones. Other programs start in the ordinary way, and so do all steps of the graphs of test_graph.py.
"""

import os
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path

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
AT_IMPORT = ("PYTHONHASHSEED", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "LC_ALL", "TZ")
"""Variables of a step that have an effect when Python starts."""
VALUES = ("0", "1", "1", "1", "C.UTF-8", "UTC")
CLIENT = """#!{python} -IS
import os, signal, socket, sys, json
arguments = sys.argv[1:]
variables = dict(os.environ)
server_name = {names}.get("".join(arguments[:1]))
if server_name and all(variables.get(name) == value for name, value in {fixed}):
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect("\\0" + server_name)
        request = json.dumps({{"arguments": arguments, "cwd": os.getcwd(), "env": variables}})
        socket.send_fds(server, [request.encode()], [1, 2, writer])
    os.close(writer)
    child = int(os.read(reader, 16))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda number, _: os.kill(child, number))
    status = int(os.read(reader, 16))
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
os.execv({real!r}, [{real!r}, *arguments])
"""


@cache
def _client() -> str:
    """Return the program that takes the place of Python, and start what it connects to."""
    python = ROOT / read_environment("nemo", ROOT).folder / "bin/python"
    fixed = dict(zip(AT_IMPORT, VALUES, strict=True))
    inherited = {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY") if name in os.environ
    }
    names: dict[str, str] = {}
    for packages, scripts in SERVERS.items():
        name = f"tapeout-tests-{uuid.uuid4()}"
        listen(python, packages, {**inherited, **fixed, "HOME": tempfile.mkdtemp()}, name)
        names |= {f"scripts/{script}.py": name for script in scripts}
    return CLIENT.format(python=sys.executable, names=names, fixed=tuple(fixed.items()), real=str(python))


def use(project: Path) -> None:
    """Replace the environments of a copy of the project: links to those of this one, and NeMo's with the client."""
    nemo = read_environment("nemo", ROOT).folder.name
    (project / ".envs" / nemo / "bin").mkdir(parents=True)
    for original in (ROOT / ".envs").iterdir():
        if original.name != nemo:
            (project / ".envs" / original.name).symlink_to(original)
    (project / ".envs" / nemo / "complete").symlink_to(ROOT / ".envs" / nemo / "complete")
    client = project / ".envs" / nemo / "bin/python"
    client.write_text(_client())
    client.chmod(0o755)
