"""``tapeout chat`` as a program: in a pipe, on a terminal, interrupted, and with an output that nobody reads."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.serving import ChatJob, Sampling, ServedModel
from tests.serve.material import SECONDS, prompts, start, write_model

pytestmark = [pytest.mark.environment("serve"), pytest.mark.timeout(600)]
QUESTION = b"What is a mux?\n"
START_SECONDS = 120.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServedModel, ...]:
    folder = tmp_path_factory.mktemp("models")
    paths = [write_model(folder / name, seed=seed) for name, seed in (("one", 1), ("two", 2))]
    return tuple(ServedModel(name=path.name, folder=str(path), prompts=prompts()) for path in paths)


def job(models: tuple[ServedModel, ...], **options: Any) -> str:
    sampling = Sampling(max_tokens=options.pop("max_tokens", 12))
    return ChatJob(models=models, threads=1, sampling=sampling, **options).model_dump_json()


def piped(request: str, text: bytes, **variables: str) -> tuple[int, bytes, bytes]:
    process = start(request, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **variables)
    output, errors = process.communicate(text, START_SECONDS)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode, output, errors


def test_messages_from_a_pipe_have_an_object_each(models: tuple[ServedModel, ...]) -> None:
    text = QUESTION + b'\n"""\na\n\nb\n"""\r\n/reset\na </s>\n\xff\xfe\n' + QUESTION.strip()
    status, output, _ = piped(job(models[:1], as_json=True), text, LC_ALL="C")
    values = [json.loads(line) for line in output.splitlines()]
    assert status == 1
    assert [value["prompt"] for value in values] == [
        "What is a mux?",
        "a\n\nb",
        "a </s>",
        "\ufffd\ufffd",
        "What is a mux?",
    ]
    assert values[0] == values[4]
    assert values[0].keys() == {"model", "prompt", "text", "ids", "finish_reason", "tokens", "prompt_tokens"}
    assert values[0]["tokens"] == len(values[0]["ids"]) == 12 and values[0]["finish_reason"] == "length"
    assert "contains </s>" in values[2]["error"]["message"] and "UTF-8" in values[3]["error"]["message"]


def test_plain_answers_and_several_models(models: tuple[ServedModel, ...]) -> None:
    _, output, _ = piped(job(models, as_json=True), QUESTION)
    texts = {value["model"]: value["text"] for value in map(json.loads, output.splitlines())}
    assert list(texts) == ["one", "two"] and texts["one"] != texts["two"]
    status, output, errors = piped(job(models), QUESTION + b"</s>\n", PYTHONUTF8="1")
    assert status == 1
    assert output.decode() == "".join(f"{name}:\n{text}\n" for name, text in texts.items())
    assert errors.decode().count("reserves") == 2


def test_a_completion_continues_the_text(models: tuple[ServedModel, ...]) -> None:
    status, output, _ = piped(job(models[:1], complete=True, as_json=True), b"assign\n")
    value = json.loads(output)
    assert status == 0 and value["prompt_tokens"] < 8


def test_a_reader_that_goes_ends_it_quietly(models: tuple[ServedModel, ...]) -> None:
    process = start(job(models[:1]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, LC_ALL="C")
    process.stdin.write(QUESTION * 1000)
    process.stdin.flush()
    assert select.select([process.stdout], [], [], START_SECONDS)[0]
    process.stdout.close()
    assert process.wait(SECONDS) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stdin.close()
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(models: tuple[ServedModel, ...], tmp_path: Path, number: signal.Signals) -> None:
    request = job(models[:1], max_tokens=4000)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(request, **pipes, TMPDIR=str(tmp_path))
    process.stdin.write(QUESTION)
    process.stdin.flush()
    assert select.select([process.stdout], [], [], START_SECONDS)[0]
    process.send_signal(number)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (128 + number, b"")
    assert list(tmp_path.iterdir()) == []


class Terminal:
    """The program on a terminal of some width."""

    def __init__(self, request: str, columns: int) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        variables = {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"}
        self.process = start(request, stdin=slave, stdout=slave, stderr=slave, **variables)
        os.close(slave)
        self.text, self.position = "", 0

    def read(self, until: str, size: int = 0) -> str:
        """Return what comes up to some text, and at least as many characters; the next call returns what follows."""
        begin, deadline = self.position, time.monotonic() + START_SECONDS
        while (found := self.text.find(until, begin)) < 0 or len(self.text) - begin < size:
            assert time.monotonic() < deadline, self.text
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 1 << 16).decode("utf-8", "replace")
        self.position = max(found + len(until), begin + size)
        return self.text[begin : self.position]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        status = self.process.wait(SECONDS)
        os.close(self.master)
        return int(status)


def test_a_conversation_on_a_terminal(models: tuple[ServedModel, ...]) -> None:
    terminal = Terminal(job(models[:1], max_tokens=4000), 80)
    introduction = terminal.read("> ")
    assert introduction.startswith("Loading one ")
    assert "\r\none: answers single questions" in introduction and "4,096 tokens" in introduction
    terminal.type("/nonsense\n")
    assert "There is no command /nonsense" in terminal.read("\n> ")
    terminal.type("/help\n")
    assert "/reset   forget the conversation" in terminal.read("\n> ")
    terminal.type('"""\n')
    terminal.read("... ")
    terminal.type("What is\n")
    terminal.read("... ")
    terminal.type('a mux?\n"""\n')
    terminal.read("", 300)  # the answer has begun
    terminal.process.send_signal(signal.SIGINT)  # stops the answer, not the program
    answer = terminal.read("(stopped)")
    assert not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", answer)
    terminal.read("> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.text


def test_answers_side_by_side(models: tuple[ServedModel, ...]) -> None:
    terminal = Terminal(job(models), 120)
    terminal.read("\n> ")
    terminal.type(QUESTION.decode())
    assert re.search(r"one.* {20,}.*two", terminal.read("\n> "))
    terminal.type("/exit\n")
    assert terminal.end() == 0
    narrow = Terminal(job(models), 60)
    narrow.read("\n> ")
    narrow.type(QUESTION.decode())
    assert re.search(r"one:\r\n(?s:.*)two:\r\n", narrow.read("\n> "))
    narrow.process.send_signal(signal.SIGINT)  # at the prompt, it ends the program
    assert narrow.end() == 128 + signal.SIGINT


def test_a_closed_terminal_ends_it(models: tuple[ServedModel, ...]) -> None:
    terminal = Terminal(job(models[:1], max_tokens=4000), 80)
    terminal.read("> ")
    terminal.type(QUESTION.decode())
    time.sleep(0.5)
    os.close(terminal.master)
    assert terminal.process.wait(SECONDS) != 0
