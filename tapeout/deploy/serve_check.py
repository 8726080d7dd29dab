"""Smoke test of a real server: prompts through its interface give the ids of the training and the evaluated answers.

Texts and numbers of tokens go into the result. Times do not, because they differ from run to run: they are returned
apart, for the log.
"""

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import orjson
from jinja2 import TemplateError

from tapeout import progress
from tapeout.config.export import ServeCheckJob
from tapeout.data.encode.row_encoder import RowEncoder
from tapeout.deploy.certificate import CertificateRefused, Greedy, evaluated_questions, load_exported
from tapeout.deploy.server_process import SERVERS, Running, running
from tapeout.deploy.token_ids import load_tokenizer, prompts_of, shape_of
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.evals.answers import answer_text
from tapeout.evals.questions import Question

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
SECONDS_TO_ANSWER = 300
EVENT = b"data: "
"""Beginning of a line of a stream."""


@dataclass
class Speed:
    """Durations of streamed answers, in seconds."""

    first: list[float] = field(default_factory=list)
    tokens: int = 0
    total: float = 0.0

    def __str__(self) -> str:
        """Return the sentence for the log."""
        median = statistics.median(self.first) if self.first else 0.0
        return f"time to first token {1000 * median:.0f} ms (median), {self.tokens / (self.total or 1.0):.0f} tokens/s"


@dataclass(frozen=True)
class Asked:
    """A test prompt in both forms that a server takes, and the answer that is expected.

    Attributes:
        question: the prompt as token ids.
        expected: the evaluated answer.
        messages: the prompt as messages.
        text: the prompt as text, without the begin token, which servers add; None if a server would encode it
            differently, because the training had no begin token before it.
    """

    question: Question
    expected: str
    messages: list[dict[str, str]]
    text: str | None

    @property
    def prompts(self) -> dict[str, dict[str, Any]]:
        """The prompt as each endpoint takes it."""
        completion = {} if self.text is None else {COMPLETION: {"prompt": self.text}}
        return {CHAT: {"messages": self.messages}, **completion}


def serve_check(
    exported: Path, job: ServeCheckJob, evaluations: Sequence[tuple[Path, Path]], tie_limit: float, scratch: Path
) -> tuple[dict[str, Any], Speed]:
    """Start a server on an exported model, ask the test prompts and compare.

    Args:
        exported: the exported folder.
        job: kind of server, number of prompts, prompts of the training.
        evaluations: the test rows of an evaluated set, and the evaluation's result with the model's answers.
        tie_limit: distance of two logits below which the tokens may change places.
        scratch: an empty folder for the server.

    Returns:
        the content of the artifact, and how fast the answers came.

    Raises:
        CertificateRefused: a prompt has another number of tokens or other ids, or an answer differs.
        ServerFailed: see ``running``.
    """
    encoder, speed, counts = load_encoder(exported), Speed(), Counter[str]()
    context = int(orjson.loads((exported / "config.json").read_bytes())["max_position_embeddings"])
    pairs = [pair for one in evaluations for pair in evaluated_questions(*one, encoder, job, context)]
    asked = choose(exported, pairs, RowEncoder(encoder, job.encoding.model_copy(update={"seq_length": context - 1})))
    asked = asked[:: max(1, len(asked) // job.prompts)][: job.prompts]
    if not asked:
        raise CertificateRefused(
            "There is no evaluated test prompt that a server could be asked.",
            "Evaluate export.model (evaluation.models) on a set that has test rows.",
        )

    @cache
    def greedy() -> Greedy:  # loaded only if a text differs
        return Greedy(load_exported(exported), encoder, load_tokenizer(exported), job.max_new_tokens, tie_limit)

    server = SERVERS[job.server]
    progress.report(0, 1 + len(asked), now="start of the server")
    with running(server, exported.resolve(), scratch) as served:
        for number, one in enumerate(asked, start=1):
            progress.report(number, 1 + len(asked), now="answers")
            for path, prompt in one.prompts.items():
                answer = ask(served, path, prompt, job.max_new_tokens, server.returns_ids)
                counts.update(
                    [_verdict(answer, one, encoder, greedy, path), path, "ids" if answer["ids"] else "token counts"]
                )
        streams = [stream(served, {"messages": one.messages}, job.max_new_tokens, speed) for one in asked]
    return {
        "answers": {"equal": counts["equal"], "tie": counts["tie"]},
        "compared": {"ids": counts["ids"], "token_counts": counts["token counts"]},
        "prompts": {path: counts[path] for path in (CHAT, COMPLETION)},
        "server": job.server,
        "streams": {"complete": sum(streams), "failed": streams.count(False)},
        "version": server_version(job.server),
    }, speed


def server_version(name: str) -> str:
    """Return the version of a server's package."""
    from importlib.metadata import packages_distributions, version

    return version(packages_distributions()[name][0])


def choose(exported: Path, pairs: Sequence[tuple[Question, str]], row_encoder: RowEncoder) -> list[Asked]:
    """Return the test prompts that a server can be asked: it renders the default chat template, and no labels."""
    tokenizer, asked = load_tokenizer(exported), []
    several = isinstance(tokenizer.chat_template, dict)
    default = tokenizer.chat_template["default"] if several else tokenizer.chat_template
    for question, expected in pairs:
        if several and tokenizer.chat_template[shape_of(question.row)] != default:
            continue
        for messages, label in prompts_of(question.row, row_encoder):
            given: dict[str, Any] = {"chat_template": default, "add_generation_prompt": True}
            if label is None and _renders(tokenizer, messages, question, given):
                text = tokenizer.apply_chat_template(messages, tokenize=False, **given)
                text = text.removeprefix(tokenizer.bos_token or "")
                as_text = text if list(tokenizer(text)["input_ids"]) == list(question.prompt) else None
                asked.append(Asked(question, expected, messages, as_text))
                break
    return asked


def _renders(tokenizer: Any, messages: list[dict[str, str]], question: Question, given: Mapping[str, Any]) -> bool:
    """Return True if messages are the prompt of a question; a conversation has one prompt for each of its answers."""
    try:
        ids = tokenizer.apply_chat_template(messages, return_dict=False, **given)
    except TemplateError:  # a reserved name in a message
        return False
    return list(ids) == list(question.prompt)


def ask(served: Running, path: str, prompt: Mapping[str, Any], max_tokens: int, with_ids: bool) -> dict[str, Any]:
    """Return the text that a server answers, the number of tokens of the prompt, and ids, if the server returns them.

    Raises:
        CertificateRefused: the server answers with an error.
    """
    body = {"model": served.model, "max_tokens": max_tokens, "temperature": 0, **prompt}
    response = httpx.post(
        served.address + path,
        json={**body, **({"return_token_ids": True} if with_ids else {})},
        timeout=SECONDS_TO_ANSWER,
        trust_env=False,
    )
    if response.status_code != httpx.codes.OK:
        raise CertificateRefused(
            f"The server answers {path} with status {response.status_code}: {response.text[:200]}.",
            "Ask the exported model by hand; see docs/deploy.md.",
        )
    content = response.json()
    choice = content["choices"][0]
    ids = choice.get("prompt_token_ids") or content.get("prompt_token_ids") if with_ids else None
    answered = choice.get("token_ids") if with_ids else None
    text = choice["message"]["content"] if path == CHAT else choice["text"]
    return {"text": text or "", "tokens": content["usage"]["prompt_tokens"], "ids": ids, "answer": answered}


def stream(served: Running, prompt: Mapping[str, Any], max_tokens: int, speed: Speed) -> bool:
    """Ask for a streamed answer and note when its tokens come.

    Returns:
        True if the answer is complete. The server of transformers ends a stream with an error if the tokens so far are
        bytes that are no text.
    """
    body = {"model": served.model, "max_tokens": max_tokens, "temperature": 0, "stream": True, **prompt}
    start, first, pieces, rest = time.monotonic(), 0.0, 0, b""
    with httpx.stream("POST", served.address + CHAT, json=body, timeout=SECONDS_TO_ANSWER, trust_env=False) as response:
        for block in response.iter_bytes():  # not iter_lines, which also divides lines at U+2028 in a text
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if line.startswith(EVENT + b'{"error"'):
                    return False
                if line.startswith(EVENT) and line.strip() != EVENT + b"[DONE]":
                    choices = json.loads(line.removeprefix(EVENT)).get("choices") or [{}]
                    if choices[0].get("delta", {}).get("content"):
                        first, pieces = first or time.monotonic(), pieces + 1
    if pieces:
        speed.first.append(first - start)
        speed.tokens += pieces
        speed.total += time.monotonic() - start
    return True


def _verdict(answer: Mapping[str, Any], one: Asked, encoder: Encoder, greedy: Callable[[], Greedy], path: str) -> str:
    """Return ``equal`` or ``tie``.

    Raises:
        CertificateRefused: the prompt has other tokens, or the answer differs.
    """
    question, place = one.question, f"{path}, row {one.question.digest[:12]}"
    if answer["tokens"] != len(question.prompt) or answer["ids"] not in (None, list(question.prompt)):
        raise CertificateRefused(
            f"{place}: the server reads {answer['tokens']} tokens that are not the {len(question.prompt)} of the "
            "training.",
            "Report it; the export is at fault.",
        )
    text = answer["text"].partition(question.stop)[0] if question.stop else answer["text"]
    if answer["answer"] is not None:  # vLLM's texts keep the blank before their first word
        text = answer_text(encoder, question, answer["answer"], question.stop_ids)[0]
    if text == one.expected:
        return "equal"
    # the certificate has compared this model's answer, as transformers generates it, with the evaluated one
    compared = greedy().compare(question, text, as_served=answer["answer"] is None)
    evaluated = greedy().compare(question, one.expected)
    if "different" in (compared.verdict, evaluated.verdict):
        raise CertificateRefused(
            f"{place}: the server answers {text!r:.80}, but the evaluated answer is {one.expected!r:.80}.",
            "Export the model that was evaluated, or use another server.",
        )
    return "tie" if "tie" in (compared.verdict, evaluated.verdict) else "equal"
