"""The endpoints: OpenAI's chat completions, completions and models, and /tokenize and /health."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from tapeout.config.serving import Sampling, ServeJob, is_loopback
from tapeout.serve.bodies import Bodies
from tapeout.serve.errors import RequestFailed
from tapeout.serve.exchange import Exchange, Receive, Scope, Send
from tapeout.serve.model import Model
from tapeout.serve.prompts import Prompts
from tapeout.serve.request_log import RequestLog
from tapeout.serve.requests import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    Generation,
    TokenizeRequest,
    parse,
)
from tapeout.serve.session import Answer
from tapeout.serve.turns import Disconnected, Turns, stopping

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine in the header ``Host``. Any other may be that of a web page that leads its visitors here."""
Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


class Api:
    """The application (ASGI).

    Attributes:
        turns: who may generate.
        bodies: limit of the memory for bodies.
        log: the log.
    """

    def __init__(self, model: Model, job: ServeJob, log: RequestLog) -> None:
        """Prepare the endpoints.

        Args:
            model: the model.
            job: limits.
            log: gets each request that has ended.
        """
        self.model, self.job, self.log = model, job, log
        self.prompts, self.turns, self.bodies = Prompts(model), Turns(job.waiting), Bodies()
        self.created = int(time.time())
        self.hosts = {*LOOPBACK, job.host} if is_loopback(job.host) else None
        self.generating = ThreadPoolExecutor(1, "generate")
        self.encoding = ThreadPoolExecutor(1, "encode")
        self.router = Router(
            [
                self._route("GET", "/health", self._health),
                self._route("GET", "/v1/models", self._models),
                self._route("POST", "/v1/chat/completions", self._chat),
                self._route("POST", "/v1/completions", self._complete),
                self._route("POST", "/tokenize", self._tokenize),
            ],
            redirect_slashes=False,
        )

    def warm_up(self) -> None:
        """Start the threads and generate a token, so that the first request is not slower than the others."""
        prompt = [*self.model.encoder.bos_ids, 0][:1]
        self.generating.submit(lambda: list(Answer(self.model, prompt, Sampling(max_tokens=1)))).result()
        self.encoding.submit(self.prompts.text, "a").result()

    def close(self) -> None:
        """End the threads."""
        self.generating.shutdown()
        self.encoding.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; every error becomes a response in OpenAI's form."""
        exchange, start = Exchange(scope, receive, send, self.bodies), time.monotonic()
        scope.update(app=self, exchange=exchange)
        try:
            exchange.check_head()
            self._check_host(exchange)
            await self.router(scope, receive, exchange.send)
        except Disconnected:
            exchange.status, exchange.note = 499, "client closed the connection"
        except HTTPException as error:
            known = error.status_code == 405
            cause = f"{scope['method']} is not allowed here." if known else f"There is no {scope['path'][:100]}."
            status, headers = error.status_code, dict(error.headers or {})
            await exchange.fail(RequestFailed(cause, "See docs/serving.md.", status=status, headers=headers))
        except RequestFailed as error:
            await exchange.fail(error)
        except Exception:  # the client gets a response in OpenAI's form; the error goes on to the log
            await exchange.fail(RequestFailed("The server has a fault.", "Its log has more.", status=500))
            raise
        finally:
            exchange.reserved.release()
            del scope["exchange"]  # a cycle, with all unread data of the connection, is freed much later
            self.log.request(exchange, time.monotonic() - start)

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        return Route(path, _Endpoint(handler), methods=[method])

    def _check_host(self, exchange: Exchange) -> None:
        """Refuse requests to another name of this machine, which no client on this machine uses."""
        host = exchange.headers.get(b"host", LOOPBACK[0])
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts is not None and name.lower() not in self.hosts:
            raise RequestFailed(
                f"The request is for the host {host[:100]}.", "Use localhost or 127.0.0.1.", status=403, param="host"
            )

    def _check_model(self, name: str | None) -> None:
        if name is not None and name != self.model.name:
            raise RequestFailed(
                f"There is no model {name[:100]!r}.",
                f"This server has {self.model.name}.",
                status=404,
                param="model",
                code="model_not_found",
            )

    # -- endpoints -----------------------------------------------------------------------------------------------------

    async def _health(self, exchange: Exchange) -> None:
        state = {"running": self.turns.running, "waiting": self.turns.waiting}
        await exchange.send_json({"status": "ok", "model": self.model.name, **state})

    async def _models(self, exchange: Exchange) -> None:
        model = {
            "id": self.model.name,
            "object": "model",
            "created": self.created,
            "owned_by": "tapeout",
            "max_model_len": self.model.context,
        }
        await exchange.send_json({"object": "list", "data": [model]})

    async def _tokenize(self, exchange: Exchange) -> None:
        request = parse(await exchange.body(), TokenizeRequest)
        self._check_model(request.model)
        if (request.prompt is None) == (request.messages is None):
            raise RequestFailed("Give either prompt or messages.", param="prompt")
        if request.prompt is not None and request.template is not None:
            raise RequestFailed("template has no effect on a prompt.", "Leave it out.", param="template")
        ids = await self._encode(request.prompt, request.messages, request.template)
        await exchange.send_json({"tokens": ids, "count": len(ids), "max_model_len": self.model.context})

    async def _chat(self, exchange: Exchange) -> None:
        request = parse(await exchange.body(), ChatRequest)
        sampling = self._checked(request)
        ids = await self._encode(None, request.messages, request.template)
        await self._answer(exchange, request, ids, sampling, chat=True)

    async def _complete(self, exchange: Exchange) -> None:
        request = parse(await exchange.body(), CompletionRequest)
        sampling = self._checked(request)
        ids = await self._encode(request.prompt, None, None)
        await self._answer(exchange, request, ids, sampling, chat=False)

    def _checked(self, request: Generation) -> Sampling:
        self._check_model(request.model)
        return request.sampling(self.job.max_tokens)

    async def _encode(self, prompt: str | None, messages: list[ChatMessage] | None, template: str | None) -> list[int]:
        loop = asyncio.get_running_loop()
        if prompt is not None:
            return await loop.run_in_executor(self.encoding, self.prompts.text, prompt)
        plain = [message.model_dump() for message in messages or ()]
        return await loop.run_in_executor(self.encoding, self.prompts.chat, plain, template)

    async def _answer(
        self, exchange: Exchange, request: Generation, ids: list[int], sampling: Sampling, chat: bool
    ) -> None:
        """Generate an answer and send it, at once or piece by piece."""

        def cancelled() -> bool:
            return exchange.gone.is_set() or self.turns.stopping.is_set()

        answer = Answer(self.model, ids, sampling, request.stops, continues=not chat, cancelled=cancelled)
        form = _Form(self.model.name, answer, chat)
        text = ""
        async with exchange.watched(), aclosing(self._pieces(answer, exchange)) as pieces:
            async for piece in pieces:
                text += piece
                if request.stream:
                    await exchange.send_event(form.chunk(piece))
        exchange.note = f"{len(ids)}+{len(answer.ids)} tokens"
        if self.job.log_prompts:
            exchange.note += f" {self.model.encoder.decode(ids)!r} {text!r}"
        if answer.finish is None:
            raise stopping() if self.turns.stopping.is_set() else Disconnected
        if not request.stream:
            await exchange.send_json(form.complete(text))
            return
        await exchange.send_event(form.chunk("", answer.finish))
        if request.with_usage:
            await exchange.send_event(form.usage_chunk())
        await exchange.send_event("[DONE]")
        await exchange.end_stream()

    async def _pieces(self, answer: Answer, exchange: Exchange) -> AsyncGenerator[str, None]:
        """Yield the text of an answer, first an empty piece when its turn has come.

        The turn ends with the generation, however long the client takes to read the text.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        def work() -> None:
            for piece in answer:
                loop.call_soon_threadsafe(queue.put_nowait, piece)

        async def produce() -> None:
            try:
                async with self.turns.turn(exchange.gone):
                    queue.put_nowait("")
                    await loop.run_in_executor(self.generating, work)
            finally:
                queue.put_nowait(None)

        task = asyncio.ensure_future(produce())
        try:
            while (piece := await queue.get()) is not None:
                yield piece
            await task
        except BaseException:
            exchange.gone.set()  # nobody reads the rest
            raise
        finally:
            await asyncio.gather(task, return_exceptions=True)


class _Endpoint:
    """Application of one route; Starlette calls functions in another way."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.handler(scope["exchange"])


class _Form:
    """Responses of OpenAI's API for one answer."""

    def __init__(self, model: str, answer: Answer, chat: bool) -> None:
        self.answer, self.chat = answer, chat
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        self.common = {"id": self.id, "created": int(time.time()), "model": model}
        self.first = True

    def complete(self, text: str) -> dict[str, Any]:
        """Return the whole response."""
        content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": self.answer.finish}
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self.common, "object": kind, "choices": [choice], "usage": self._usage()}

    def chunk(self, text: str, finish: str | None = None) -> dict[str, Any]:
        """Return one event of a stream."""
        delta: dict[str, str] = {"role": "assistant"} if self.first else {}
        self.first = False
        delta |= {"content": text} if text or (not finish and "role" in delta) else {}
        content = {"delta": delta} if self.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish}
        return {**self.common, "object": self._chunk_kind, "choices": [choice]}

    def usage_chunk(self) -> dict[str, Any]:
        """Return the event with the counts of tokens."""
        return {**self.common, "object": self._chunk_kind, "choices": [], "usage": self._usage()}

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self.chat else "text_completion"

    def _usage(self) -> dict[str, int]:
        prompt, answer = len(self.answer.prompt), len(self.answer.ids)
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
