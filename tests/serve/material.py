"""A tiny model with random weights, and servers of it as processes."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.config.bases.tiny import Base
from tapeout.config.export import PromptsJob
from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.config.serving import VARIABLE, ServedModel, ServeJob
from tapeout.deploy.served_tokenizer import write_tokenizer
from tapeout.models import llama
from tapeout.models.family import load_family
from tapeout.models.huggingface import new_model, save_model
from tests.models.small_llama import ARCHITECTURE
from tests.small_tokenizer import train

ROOT = Path(__file__).parents[2]
LINES = ["What is a mux?", "assign q = d;", "module counter(input clk);", "é 漢 😀", "a  b\tc"] * 30
TEMPLATE = "{input}\n### Answer: {output}"
CONTEXT = 4096
SECONDS = 60.0
"""Deadline of everything that should take less than a second."""
NAME = "tiny/model"


def prompts(tokens: str = "aligner", chat_template: str | None = None, systems: tuple[str, ...] = ("",)) -> PromptsJob:
    """Return prompts of a training."""
    prompt = Prompt.model_validate({"tokens": tokens, "chat_template": chat_template and "x.jinja"})
    encoding = EncodeJob(prompt=prompt, chat_template=chat_template, template=TEMPLATE, seq_length=400)
    return PromptsJob(encoding=encoding, systems=systems)


def write_model(folder: Path, context: int = CONTEXT, seed: int = 3) -> Path:
    """Write a Hugging Face folder of a Llama with 16 dimensions."""
    folder.mkdir(parents=True)
    vocabulary = folder / "tokenizer.model"
    vocabulary.write_bytes(train(LINES, 300, hard_vocab_limit=False))
    job = Base(kind="tiny", family="llama", architecture={**ARCHITECTURE, "seq_length": context}, seed=seed)
    model = new_model(job, vocabulary)
    for parameter in model.parameters():  # so that answers vary, and do not repeat one token
        parameter.data.mul_(4)
    save_model(model, load_family("llama"), vocabulary, folder)
    return folder


def write_set(folder: Path, *rows: dict[str, Any]) -> str:
    """Write an instruction set without held-out rows, and return its folder."""
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        lines = [json.dumps({**row, "digest": str(number)}) + "\n" for number, row in enumerate(rows)]
        (folder / f"{split}.jsonl").write_text("".join(lines) if split == "train" else "")
    return str(folder)


@dataclass
class Running:
    """A server's process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    scratch: Path

    def status(self, name: str) -> int:
        """Return a number of /proc/PID/status: kB of memory, or threads."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    @property
    def files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def wait_until_idle(self, connections: int) -> None:
        """Wait until no request runs or waits, and the server has no more than that many files open."""
        deadline = time.monotonic() + SECONDS
        while True:
            state = self.get("/health")
            if not state["running"] and not state["waiting"] and self.files <= connections:
                return
            assert time.monotonic() < deadline, (state, self.files)
            time.sleep(0.05)

    def get(self, path: str) -> Any:
        status, _, value = self.ask(request("GET", path))
        assert status == 200, value
        return value

    def post(self, path: str, value: Any) -> tuple[int, dict[str, str], Any]:
        return self.ask(request("POST", path, json.dumps(value).encode()))

    def ask(self, data: bytes) -> tuple[int, dict[str, str], Any]:
        """Send bytes, and return status, headers and content of the response."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            return response(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


def request(method: str, path: str, body: bytes = b"", *headers: str, kind: str = "application/json") -> bytes:
    """Return a request of HTTP."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def response(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Read one response; its content is JSON, or the text of a stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(1 << 16)
        assert part, f"the server closed the connection after {data!r}"
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "content-length" in headers:
        while len(body) < int(headers["content-length"]):
            part = connection.recv(1 << 16)
            assert part
            body += part
        return int(first.split()[1]), headers, json.loads(body) if body else None
    while not body.endswith(b"0\r\n\r\n"):
        part = connection.recv(1 << 16)
        assert part
        body += part
    text = "".join(chunk.partition("\r\n")[2] for chunk in _chunks(body.decode()))
    return int(first.split()[1]), headers, text


def _chunks(text: str) -> Iterator[str]:
    """Yield the size and content of the parts of a chunked body."""
    data = text.encode()
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        yield f"{length}\r\n{rest[:length].decode()}"
        data = rest[length + 2 :]


def events(text: str) -> list[Any]:
    """Return the events of a stream, without its end."""
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(event) for event in found if event != "[DONE]"]


@contextlib.contextmanager
def running(folder: Path, model: ServedModel, python: str = sys.executable, **options: Any) -> Iterator[Running]:
    """Start a server, wait until it accepts connections, and kill it at the end if it still runs."""
    job = ServeJob(model=model, port=0, threads=1, **options)
    scratch, log = folder / "tmp", folder / "log"
    scratch.mkdir()
    with open(log, "wb") as errors:
        process = start(job.model_dump_json(), None, subprocess.PIPE, errors, python, TMPDIR=str(scratch))
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 120)[0], "the server does not start"
        line = process.stdout.readline().decode()
        assert line.startswith(f"Serving {model.name} at http://127.0.0.1:"), (line, log.read_text())
        yield Running(process, int(line.rsplit(":", 1)[1].partition("/")[0]), log, scratch)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start(
    job: str,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    python: str = sys.executable,
    **variables: str,
) -> Any:
    """Start the program with a request, as the command line does."""
    with open(os.memfd_create("request"), "w+b", buffering=0) as file:
        file.write(job.encode())
        file.seek(0)
        return subprocess.Popen(
            [python, "-P", "-m", "tapeout.serve"],
            env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(file.fileno()), **variables},
            pass_fds=[file.fileno()],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


def write_export(folder: Path) -> None:
    """Write a model with tokenizer and chat template, as an export has them."""
    source = write_model(folder.with_name(f"{folder.name}_before"))
    shutil.copytree(source, folder)
    write_tokenizer(source / "tokenizer.model", folder, llama, prompts(), ["question"], CONTEXT)


if __name__ == "__main__":
    write_export(Path(sys.argv[1]))
