"""A real server process: hostile requests, disconnects, load, known answers, memory and its end."""

import contextlib
import json
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

from tapeout.config.serving import ServedModel
from tapeout.serve.model import Model, load
from tapeout.serve.prompts import Prompts
from tapeout.serve.text_stream import TextStream
from tests.serve.hostile import CHAT, COMPLETE, QUESTION, ROWS, TOKENIZE, Row
from tests.serve.material import NAME, SECONDS, Running, events, prompts, request, running, write_model

pytestmark = [pytest.mark.environment("serve"), pytest.mark.timeout(600)]
WAITING = 4
MEMORY = 256 * 1024
"""kB by which all hostile requests together may raise the memory of the server: 100 bodies of a megabyte at once are
in memory twice, as bytes and as text."""
HALVES = (
    request("POST", CHAT, b"x" * 1000)[:-900],
    request("POST", CHAT, b"x" * 1000)[:20],
    request("POST", CHAT, b"", "Content-Type: application/json", "Transfer-Encoding: chunked") + b"5\r\naaaaa\r\n",
    b"",
)
"""Requests that are not complete."""
UNKNOWN = "\ufffd"
"""Libraries differ in how many of these bytes that are no character become."""
LONG = {"messages": [QUESTION], "max_tokens": 2000}
"""A request whose answer takes seconds."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    folder = write_model(tmp_path_factory.mktemp("model") / "tiny")
    return ServedModel(name=NAME, folder=str(folder), prompts=prompts())


@pytest.fixture(scope="module")
def model(served: ServedModel) -> Model:
    return load(served)


@pytest.fixture(scope="module")
def server(served: ServedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server"), served, waiting=WAITING, max_tokens=2000) as started:
        yield started


def expected(model: Model, prompt: list[int], tokens: int) -> list[int]:
    """Return the answer of transformers itself."""
    with torch.no_grad():
        ids = model.network.generate(torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    answer: list[int] = ids[0, len(prompt) :].tolist()
    return answer


def text_of(model: Model, ids: list[int], continues: bool = False) -> str:
    stream = TextStream(model.encoder, continues=continues)
    return "".join(map(stream.push, ids)) + stream.end()


def content(value: Any) -> str:
    text: str = value["choices"][0]["message"]["content"]
    return text


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_hostile_request_gets_a_clear_answer(server: Running, row: Row) -> None:
    check(server, row)


def check(server: Running, row: Row) -> None:
    status, headers, value = server.ask(row.data)
    assert status == row.status, value
    assert headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in headers
    if row.status == 200:
        assert "error" not in value
        return
    error = value["error"]
    assert value.keys() == {"error"} and error.keys() == {"message", "type", "param", "code"}
    assert row.message in error["message"] and error["param"] == row.param, error
    assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")


def test_there_are_at_least_fifty() -> None:
    assert len(ROWS) >= 50 and len({row.name for row in ROWS}) == len(ROWS)


def test_an_answer_is_that_of_transformers(server: Running, model: Model) -> None:
    for text in ("What is a mux?", "assign q = d;", "", "é 漢", "x" * 600):
        messages = [{"role": "user", "content": text}]
        _, _, tokens = server.post(TOKENIZE, {"messages": messages})
        assert tokens["tokens"] == Prompts(model).chat(messages)
        ids = expected(model, tokens["tokens"], 40)
        _, _, value = server.post(CHAT, {"messages": messages, "max_tokens": 40})
        assert content(value) == text_of(model, ids)
        assert content(value).replace(UNKNOWN, "") == model.encoder.decode(ids).replace(UNKNOWN, "")
        assert value["usage"]["completion_tokens"] == len(ids)


def test_a_completion_continues_the_text(server: Running, model: Model) -> None:
    for text in ("assign", "a </s> <s>", " x"):
        prompt = [1, *model.encoder.encode(text)]
        assert server.post(TOKENIZE, {"prompt": text})[2]["tokens"] == prompt
        ids = expected(model, prompt, 30)
        _, _, value = server.post(COMPLETE, {"prompt": text, "max_tokens": 30})
        assert value["choices"][0]["text"] == text_of(model, ids, continues=True)
        whole = model.encoder.decode([*prompt, *ids])
        assert (text + value["choices"][0]["text"]).replace(UNKNOWN, "") == whole.replace(UNKNOWN, "")
        assert value["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("path", [CHAT, COMPLETE])
def test_a_stream_has_the_same_text(server: Running, path: str) -> None:
    body = {"messages": [QUESTION]} if path == CHAT else {"prompt": "assign"}
    body |= {"max_tokens": 60, "temperature": 0.7, "seed": 5}
    _, _, value = server.post(path, body)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    status, headers, stream = server.post(path, body | options)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert stream.endswith("data: [DONE]\n\n")
    *chunks, usage = events(stream)
    choices = [chunk["choices"][0] for chunk in chunks]
    key = "delta" if path == CHAT else "text"
    parts = [choice[key] if key == "text" else choice["delta"].get("content", "") for choice in choices]
    whole = value["choices"][0]
    assert "".join(parts) == (content(value) if path == CHAT else whole["text"])
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + [whole["finish_reason"]]
    assert usage["usage"] == value["usage"] and len(parts) > 5


def test_a_seed_repeats_and_a_stop_ends(server: Running) -> None:
    body = {"messages": [QUESTION], "max_tokens": 40, "temperature": 1.0}
    texts = {content(server.post(CHAT, body | {"seed": seed})[2]) for seed in (1, 1, 2, 3)}
    assert len(texts) == 3
    whole = content(server.post(CHAT, {"messages": [QUESTION], "max_tokens": 40})[2])
    stop = whole[10:12]
    _, _, value = server.post(CHAT, {"messages": [QUESTION], "max_tokens": 40, "stop": stop})
    assert content(value) == whole[: whole.index(stop)]
    assert value["choices"][0]["finish_reason"] == "stop"


def test_the_client_of_openai(server: Running, model: Model) -> None:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
    with client:
        assert [one.id for one in client.models.list()] == [NAME]
        messages: Any = [QUESTION]
        answer = client.chat.completions.create(model=NAME, messages=messages, max_completion_tokens=20)
        stream = client.chat.completions.create(model=NAME, messages=messages, max_tokens=20, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        assert answer.choices[0].message.content == streamed
        text = client.completions.create(model=NAME, prompt="assign", max_tokens=5, stop=["\n"])
        assert text.usage is not None and text.usage.prompt_tokens == len(model.encoder.encode("assign")) + 1
        with pytest.raises(openai.NotFoundError, match="There is no model"):
            client.chat.completions.create(model="gpt", messages=messages)
        with pytest.raises(openai.BadRequestError, match="is not accepted"):
            client.chat.completions.create(model=NAME, messages=messages, n=3)


def test_many_at_once_are_answered_in_turn_or_sent_away(server: Running) -> None:
    expected_text = content(server.post(CHAT, {"messages": [QUESTION], "max_tokens": 30})[2])
    answers = at_once(server, 100, {"messages": [QUESTION], "max_tokens": 30})
    assert len(answers) == 100
    counts = Counter(status for status, _, _ in answers)
    assert set(counts) <= {200, 503} and counts[200] >= 1 + WAITING, counts
    for status, headers, value in answers:
        if status == 200:
            assert content(value) == expected_text
        else:
            assert int(headers["retry-after"]) >= 1 and value["error"]["code"] == "busy"


def at_once(server: Running, count: int, body: dict[str, Any]) -> list[tuple[int, dict[str, str], Any]]:
    """Send the same request many times at the same moment."""
    answers: list[tuple[int, dict[str, str], Any]] = []
    barrier = threading.Barrier(count)

    def ask() -> None:
        barrier.wait(SECONDS)
        answers.append(server.post(CHAT, body))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return answers


def leave_early(server: Running) -> None:
    """Open connections of every kind and close them at once."""
    for stream in (True, False):
        body = json.dumps({**LONG, "stream": stream}).encode()
        whole = request("POST", CHAT, body)
        for end in (0, 10, len(whole) - len(body), len(whole) - 5, len(whole)):
            with server.connect() as connection:
                connection.sendall(whole[:end])
                if stream and end == len(whole):
                    assert connection.recv(1)


def flood(server: Running) -> None:
    """Send as much as the server takes without reading: requests, and what is none behind a generation; then go."""
    first = request("POST", CHAT, json.dumps({**LONG, "max_tokens": 100}).encode())
    small = request("POST", TOKENIZE, json.dumps({"prompt": "a" * 200}).encode()) * 500
    for begin, data in ((b"", small), (b"", request("GET", "/health") * 3000), (first, b"G" * 1_000_000)):
        with server.connect() as connection, contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            connection.sendall(begin)
            connection.settimeout(1)
            for _ in range(200):
                connection.sendall(data)


def test_pipelined_requests_are_answered_in_their_order(server: Running) -> None:
    """1,000 requests, more than the server reads at once."""
    bodies = [json.dumps({"prompt": "a" * number}).encode() for number in range(1, 1001)]
    with server.connect() as connection:
        sender = threading.Thread(
            target=connection.sendall, args=(b"".join(request("POST", TOKENIZE, body) for body in bodies),), daemon=True
        )
        sender.start()
        data = b""
        while data.count(b'"max_model_len"') < len(bodies):
            part = connection.recv(1 << 16)
            assert part
            data += part
        sender.join(SECONDS)
    counts = [int(count) for count in re.findall(rb'"count":(\d+)', data)]
    assert len(counts) == len(bodies) and counts == sorted(counts)


def test_a_client_that_goes_frees_its_turn(server: Running) -> None:
    idle = server.files + 1
    for _ in range(3):
        leave_early(server)
    begin = time.monotonic()
    status, _, _ = server.post(CHAT, {"messages": [QUESTION], "max_tokens": 2})
    assert status in (200, 503) and time.monotonic() - begin < SECONDS
    server.wait_until_idle(idle)
    waiting = [server.connect() for _ in range(1 + WAITING)]
    for connection in waiting:
        connection.sendall(request("POST", CHAT, json.dumps(LONG).encode()))
    deadline = time.monotonic() + SECONDS
    while server.get("/health")["waiting"] < WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.post(CHAT, LONG)[0] == 503
    for connection in reversed(waiting):
        connection.close()
    server.wait_until_idle(idle)


def test_a_client_that_does_not_read_holds_nobody_up(server: Running) -> None:
    with server.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(request("POST", CHAT, json.dumps({**LONG, "stream": True}).encode()))
        deadline = time.monotonic() + SECONDS
        while (state := server.get("/health"))["running"] or state["waiting"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server.post(CHAT, {"messages": [QUESTION], "max_tokens": 2})[0] == 200


@pytest.mark.slow
def test_a_slow_request_is_cut_off(server: Running) -> None:
    """Silence, a head and a body that come byte by byte, and one that never ends after a refusal."""
    body = request("POST", CHAT, b"x" * 1000)
    requests = {
        "silence": (b"", b"", 408),
        "head": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", b"x", 408),
        "body": (body[:-900], b"x", 408),
    }
    results: dict[str, int] = {}

    def drip(name: str) -> None:
        first, drop, _ = requests[name]
        with server.connect() as connection:
            connection.sendall(first)
            connection.settimeout(0.2)
            end, data = time.monotonic() + SECONDS, b""
            while not data and time.monotonic() < end:
                try:
                    data = connection.recv(1 << 16)
                except TimeoutError:
                    connection.sendall(drop)
            results[name] = int(data.split()[1])

    threads = [threading.Thread(target=drip, args=(name,), daemon=True) for name in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    assert results == {name: status for name, (_, _, status) in requests.items()}


def test_nothing_leaks(server: Running) -> None:
    """All rows, 100 at once and early ends, three times: the same files and threads, and bounded memory."""
    text = content(server.post(CHAT, {"messages": [QUESTION], "max_tokens": 30})[2])
    files, threads, peak = server.files + 1, server.status("Threads"), server.status("VmHWM")
    sizes = []
    for _ in range(3):
        for row in ROWS:
            check(server, row)
        at_once(server, 100, {"messages": [QUESTION], "max_tokens": 30})
        heavy = at_once(server, 100, {"messages": [{"role": "user", "content": "x" * 1_000_000}]})
        counts = Counter(status for status, _, _ in heavy)
        assert set(counts) <= {400, 503} and counts[400] >= 16 and counts.total() == 100, counts
        leave_early(server)
        flood(server)
        server.wait_until_idle(files)
        sizes.append(server.status("VmRSS"))
    assert content(server.post(CHAT, {"messages": [QUESTION], "max_tokens": 30})[2]) == text
    assert server.status("Threads") == threads
    print(f"memory: {peak} kB before, {server.status('VmHWM')} kB at most, {sizes} kB after each round")
    assert server.status("VmHWM") < peak + MEMORY
    assert sizes[-1] < sizes[0] + MEMORY // 3
    assert list(server.scratch.iterdir()) == []


def test_the_log_has_a_line_per_request_and_no_text(server: Running) -> None:
    before = server.log.read_text().count("\n")
    secret = "\x1b[2J hello"
    server.post(CHAT, {"messages": [{"role": "user", "content": secret}], "max_tokens": 2})
    server.ask(request("GET", "/%1b%5b2J%0aGET"))
    server.wait_until_idle(server.files + 1)
    log = server.log.read_text()
    lines = [line.split(" ", 1)[1] for line in log.splitlines()[before:]]
    assert any(line.startswith("POST /v1/chat/completions 200 ") and "+2 tokens" in line for line in lines)
    assert any(line.startswith("GET /?[2J?GET 404 ") for line in lines)
    assert "hello" not in log and "\x1b" not in log and "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_its_streams(served: ServedModel, tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, served, waiting=1, max_tokens=4000) as server, server.connect() as streaming:
        body = json.dumps({"messages": [QUESTION], "max_tokens": 4000, "stream": True}).encode()
        streaming.sendall(request("POST", CHAT, body))
        assert streaming.recv(100)
        with server.connect() as waiting:
            waiting.sendall(request("POST", CHAT, json.dumps(LONG).encode()))
            deadline = time.monotonic() + SECONDS
            while server.get("/health")["waiting"] < 1:
                assert time.monotonic() < deadline
            half = [server.connect() for _ in HALVES]
            for connection, data in zip(half, HALVES, strict=True):
                connection.sendall(data)
            server.get("/health")  # it has accepted the connections before this one
            assert server.end(number) == 0
            refused = waiting.recv(1 << 16)
        for connection in half:
            with connection, contextlib.suppress(ConnectionResetError):
                data = connection.recv(1 << 16)
                assert not data or (b" 503 " in data and b"The server is ending." in data), data
        rest = b""
        while part := streaming.recv(1 << 16):
            rest += part
        assert refused.startswith(b"HTTP/1.1 503") and b"The server is ending." in refused
        assert b'"code":"stopping"' in rest
        assert list(server.scratch.iterdir()) == []
        assert "Traceback" not in server.log.read_text()
