"""The smoke test of a server: the real one of transformers, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from tapeout.config.export import PromptsJob, ServeCheckJob
from tapeout.deploy import server_process
from tapeout.deploy.certificate import CertificateRefused
from tapeout.deploy.serve_check import serve_check
from tapeout.deploy.server_process import SERVERS, Server, ServerFailed, free_port, running
from tests.deploy.exported import NEW_TOKENS, Exported, made
from tests.deploy.material import MODEL, conversations, questions

pytestmark = pytest.mark.environment("serve")


def checked(exported: Exported, folder: Path, **changes: Any) -> dict[str, Any]:
    """Run the check; return the result."""
    shared = {field: getattr(exported.job, field) for field in PromptsJob.model_fields}
    job = ServeCheckJob(**shared, max_new_tokens=NEW_TOKENS, **changes)
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    result, speed = serve_check(exported.folder, job, exported.evaluations, 2e-4, scratch)
    assert "tokens/s" in str(speed) and len(speed.first) <= result["streams"]["complete"]
    assert sum(result["streams"].values()) == result["prompts"]["/v1/chat/completions"]
    return result


def running_processes(groups: set[int]) -> list[str]:
    """Return the processes of some process groups that have not ended."""
    listed = subprocess.run(["ps", "-eo", "pgid,stat,args"], check=True, capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [" ".join(row) for row in rows if int(row[0]) in groups and not row[1].startswith("Z")]


def servers_of(folder: Path) -> list[str]:
    """Return the processes that serve a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if f"serve {folder.resolve()}" in line]


@pytest.mark.parametrize("name", ["aligner", "extra_id"])
def test_a_real_server_gives_the_trained_ids_and_the_evaluated_answers(tmp_path: Path, name: str) -> None:
    """Answers to conversations of the second kind end with a text of several tokens."""
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    exported = made(tmp_path, name, conversations() if name == "extra_id" else questions())
    result = checked(exported, tmp_path)
    chats, completions = result["prompts"].values()
    assert chats >= 1 and completions == (chats if name == "aligner" else 0), "marks of turns follow no begin token"
    assert result["answers"] == {"equal": chats + completions, "tie": 0}
    assert result["compared"] == {"ids": 0, "token_counts": chats + completions}
    assert not servers_of(exported.folder)
    _, evaluation = exported.evaluations[0]
    content = json.loads(evaluation.read_bytes())
    for answer in content["result"]["answers"]:
        answer["generated"] = "other"
    evaluation.write_text(json.dumps(content))
    with pytest.raises(CertificateRefused, match="but the evaluated answer is 'other'"):
        checked(exported, (tmp_path / "again"))
    assert not servers_of(exported.folder)


def test_a_server_that_ends_or_does_not_end_is_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Server(("no_such_server",), lambda folder, port: [], returns_ids=False)
    ended = pytest.raises(ServerFailed, match="ended with status 1 before it answered.*no_such_server")
    with ended, running(missing, tmp_path, tmp_path):
        pass
    monkeypatch.setattr(server_process, "SECONDS_TO_START", 0.3)
    silent = Server(("timeit", "-n1", "-r1", "import time; time.sleep(60)"), lambda folder, port: [], returns_ids=False)
    with pytest.raises(ServerFailed, match="did not answer within"), running(silent, tmp_path, tmp_path):
        pass


ROOT = Path(__file__).parents[2]
STUBBORN = """
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_stubborn_server_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "SECONDS_TO_END", 0.5)
    (tmp_path / "stubborn_server.py").write_text(STUBBORN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = Server(("stubborn_server",), lambda folder, port: [str(port)], returns_ids=False)
    groups: list[int] = []
    with pytest.raises(ServerFailed, match="did not end within"), running(server, tmp_path, tmp_path) as served:
        groups.append(os.getpgid(served.process.pid))
    deadline = time.monotonic() + 20
    while running_processes(set(groups)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running_processes(set(groups))


STEP = """
import pathlib, sys
from tapeout.deploy.server_process import Server, running
server = Server(("stubborn_server",), lambda folder, port: [str(port)], returns_ids=False)
with running(server, pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1])) as served:
    print(served.process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_server_ends_with_its_step(tmp_path: Path, number: int) -> None:
    program = STUBBORN.replace("SIG_IGN", "SIG_DFL")
    if number == signal.SIGKILL:  # then the kernel ends the server, whose children must watch it, as vLLM's do
        program = "\n".join(line for line in program.splitlines() if "Popen" not in line)
    (tmp_path / "stubborn_server.py").write_text(program)
    variables = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", STEP, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=variables,
    ) as step:
        assert step.stdout is not None
        server = int(step.stdout.readline())
        step.send_signal(number)
        step.wait(60)
    deadline = time.monotonic() + 20
    while running_processes({server}) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running_processes({server})


def test_servers_are_those_of_the_configuration_and_ports_are_free() -> None:
    assert set(SERVERS) == set(get_args(ServeCheckJob.model_fields["server"].annotation))
    assert 1024 <= free_port() < 65536
