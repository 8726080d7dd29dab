"""``tapeout chat``: messages from a terminal or a pipe, and answers that appear while they are generated."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import orjson

from tapeout.config.serving import ChatJob
from tapeout.serve.errors import RequestFailed
from tapeout.serve.model import Model
from tapeout.serve.prompts import Prompts
from tapeout.serve.session import Answer, Conversation, Question
from tapeout.serve.side_by_side import Columns, fits
from tapeout.streams import Output, write_error
from tapeout.visible import visible

BLOCK = '"""'
"""A line with only this begins a message of several lines, and ends it."""
PROMPT, CONTINUED = "> ", "... "
HELP = f"""\
/reset   forget the conversation, except the system message
/help    show this list
/exit    end; so does Ctrl-D
{BLOCK}      alone on a line: begin a message of several lines, and end it
Ctrl-C   stop an answer"""


class Messages:
    """Messages that a user types, or that come from a pipe.

    Attributes:
        interactive: True if both ends are a terminal.
    """

    def __init__(self) -> None:
        self.interactive = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if self.interactive:
            import readline  # noqa: F401 - lets input() edit lines, and remembers those of this conversation

    def __iter__(self) -> Iterator[str]:
        """Yield messages and commands until the input ends; lines of blanks are none."""
        while (line := self._line(PROMPT)) is not None:
            if line.strip() == BLOCK:
                lines = []
                while (part := self._line(CONTINUED)) is not None and part.strip() != BLOCK:
                    lines.append(part)
                line = "\n".join(lines)
            if line.strip():
                yield line

    def _line(self, prompt: str) -> str | None:
        """Return a line without its end; None at the end of the input."""
        if self.interactive:
            try:
                return _utf8(input(prompt))
            except EOFError:
                print()
                return None
        if sys.stdin is None:
            return None
        data = sys.stdin.buffer.readline()
        return data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r") if data else None


class Interrupt:
    """Ctrl-C while an answer is generated, which stops the answer; otherwise it ends the program."""

    def __init__(self, interactive: bool) -> None:
        self.interactive, self.pressed = interactive, False
        self.before: Any = None

    def __enter__(self) -> "Interrupt":
        self.pressed = False
        if self.interactive:
            self.before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self.interactive:
            signal.signal(signal.SIGINT, self.before)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True


class Chat:
    """A conversation with each model.

    Attributes:
        failed: True if a message got no answer.
    """

    def __init__(self, job: ChatJob, models: Sequence[Model], messages: Messages, width: int) -> None:
        self.job, self.messages, self.failed = job, messages, False
        self.conversations = [Conversation(model, job.system, job.template) for model in models]
        self.interrupt = Interrupt(messages.interactive)
        self.wide = not job.as_json and messages.interactive and fits(len(models), width)
        self.width = width

    def introduce(self) -> None:
        """Print what the models are, and what they can be asked."""
        for conversation in self.conversations:
            kind = "continues a text" if self.job.complete else conversation.prompts.kind
            print(f"{conversation.model.name}: {kind}; {conversation.model.context:,} tokens of context.")
        print("/help lists the commands, Ctrl-D ends.")

    def run(self) -> None:
        """Answer messages until they end."""
        for text in self.messages:
            command = text.strip()
            if command == "/exit":
                return
            if command == "/reset":
                for conversation in self.conversations:
                    conversation.reset()
                if self.messages.interactive:
                    print("The conversation begins anew.")
            elif command == "/help" and not self.job.as_json:
                print(HELP)
            elif command.startswith("/") and command[1:].isalpha() and self.messages.interactive:
                print(f"There is no command {visible(command)}; /help lists them.")
            elif self.wide:
                self._compare(text)
            else:
                for conversation in self.conversations:
                    self._answer(conversation, text)

    def _ask(self, conversation: Conversation, text: str) -> Answer:
        return conversation.ask(text, self.job.sampling, self.job.complete, lambda: self.interrupt.pressed)

    def _answer(self, conversation: Conversation, text: str) -> None:
        """Print the answer of one model."""
        name = conversation.model.name
        try:
            answer, pieces = self._ask(conversation, text), []
            if len(self.conversations) > 1 and not self.job.as_json:
                print(f"{name}:")
            with self.interrupt:
                for piece in answer:
                    pieces.append(piece)
                    self._show(piece)
        except RequestFailed as error:
            self._fail(name, text, error)
            return
        whole = "".join(pieces)
        if self.job.as_json:
            self._print_json(name, text, _value(answer, whole) | self._passages(conversation))
        else:
            if not whole.endswith("\n"):
                print()
            if answer.finish is None:
                print("(stopped)")
            self._name_passages(conversation)
            if self.messages.interactive:
                print()
            sys.stdout.flush()
        if answer.finish is not None:
            conversation.keep(text, whole)

    def _compare(self, text: str) -> None:
        """Print the answers of all models side by side, each while it is generated."""
        columns = Columns([one.model.name for one in self.conversations], self.width)
        with columns, self.interrupt:
            for number, conversation in enumerate(self.conversations):
                try:
                    answer, pieces = self._ask(conversation, text), []
                    for piece in answer:
                        pieces.append(piece)
                        columns.add(number, visible(piece))
                except RequestFailed as error:
                    columns.add(number, visible(error.message))
                    self.failed = True
                    continue
                if answer.finish is not None:
                    conversation.keep(text, "".join(pieces))
                if self.interrupt.pressed:
                    break
        for conversation in self.conversations:
            self._name_passages(conversation)

    def _passages(self, conversation: Conversation) -> dict[str, Any]:
        """Return the origins of the passages that the last question showed, if there is an index."""
        keys = ("source", "path", "start", "end")
        origins = [{key: getattr(passage, key) for key in keys} for passage in conversation.passages]
        return {} if self.job.index is None else {"passages": origins}

    def _name_passages(self, conversation: Conversation) -> None:
        """Name the files of the passages that the last question showed, on standard error."""
        if not conversation.passages:
            return
        sys.stdout.flush()
        name = f"{conversation.model.name}: " if len(self.conversations) > 1 else ""
        files = ", ".join(dict.fromkeys(passage.title for passage in conversation.passages))
        line = visible(f"{name}passages of {files}").replace("\n", " ")
        write_error(f"\x1b[2m{line}\x1b[0m" if sys.stderr.isatty() else line)

    def _show(self, piece: str) -> None:
        """Print a piece at once; a terminal obeys none of its control characters."""
        if not self.job.as_json:
            print(visible(piece) if sys.stdout.isatty() else piece, end="", flush=True)

    def _fail(self, name: str, text: str, error: RequestFailed) -> None:
        self.failed = True
        if self.job.as_json:
            self._print_json(name, text, error.value())
        else:
            write_error(visible(f"{name}: {error.message}"))

    def _print_json(self, name: str, text: str, value: dict[str, Any]) -> None:
        prompt = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        data = orjson.dumps({"model": name, "prompt": prompt, **value}, option=orjson.OPT_SORT_KEYS) + b"\n"
        assert isinstance(sys.stdout, Output)
        sys.stdout.write_utf8(data)


def run(
    job: ChatJob, models: Sequence[Model], question: Callable[[Prompts], Callable[[str], Question]] | None = None
) -> int:
    """Talk until the input ends, and return the exit status: 1 if a message got no answer, else 0.

    Args:
        job: the request.
        models: the models that answer.
        question: returns, for a model, the function that turns the text of a user into that of the prompt.
    """
    messages = Messages()
    chat = Chat(job, models, messages, _width())
    if question is not None:
        for conversation in chat.conversations:
            conversation.question = question(conversation.prompts)
    if messages.interactive and not job.as_json:
        chat.introduce()
    chat.run()
    return int(chat.failed)


def _value(answer: Answer, text: str) -> dict[str, Any]:
    counts = {"tokens": len(answer.ids), "prompt_tokens": len(answer.prompt)}
    return {"text": text, "ids": answer.ids, "finish_reason": answer.finish, **counts}


def _utf8(line: str) -> str:
    """Return a line as UTF-8, also where the locale states another encoding than the terminal has."""
    return line.encode(sys.stdin.encoding, "surrogateescape").decode("utf-8", "surrogateescape")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns
