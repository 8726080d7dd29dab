"""The smoke test of a server: the real one of transformers, and what is refused."""

import json
import os
import subprocess
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


def processes() -> set[str]:
    """Return the command lines of all processes with the server's program."""
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line for line in listed if "transformers.cli.transformers" in line}


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
    assert not processes()
    _, evaluation = exported.evaluations[0]
    content = json.loads(evaluation.read_bytes())
    for answer in content["result"]["answers"]:
        answer["generated"] = "other"
    evaluation.write_text(json.dumps(content))
    with pytest.raises(CertificateRefused, match="but the evaluated answer is 'other'"):
        checked(exported, (tmp_path / "again"))
    assert not processes()


def test_a_server_that_ends_or_does_not_end_is_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Server(("no_such_server",), lambda folder, port: [], returns_ids=False)
    ended = pytest.raises(ServerFailed, match="ended with status 1 before it answered.*no_such_server")
    with ended, running(missing, tmp_path, tmp_path):
        pass
    monkeypatch.setattr(server_process, "SECONDS_TO_START", 0.3)
    silent = Server(("timeit", "-n1", "-r1", "import time; time.sleep(60)"), lambda folder, port: [], returns_ids=False)
    with pytest.raises(ServerFailed, match="did not answer within"), running(silent, tmp_path, tmp_path):
        pass


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
    alive = True
    while alive and time.monotonic() < deadline:
        listed = subprocess.run(["ps", "-eo", "pgid,stat"], check=True, capture_output=True, text=True).stdout
        rows = [line.split() for line in listed.splitlines()[1:]]
        alive = any(int(pgid) == groups[0] and not stat.startswith("Z") for pgid, stat in rows)
    assert not alive


def test_servers_are_those_of_the_configuration_and_ports_are_free() -> None:
    assert set(SERVERS) == set(get_args(ServeCheckJob.model_fields["server"].annotation))
    assert 1024 <= free_port() < 65536
