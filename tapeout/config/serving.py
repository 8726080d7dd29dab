"""Requests of ``tapeout serve`` and ``tapeout chat`` to ``tapeout.serve``, which runs in another environment."""

import ipaddress
from typing import Literal

from pydantic import Field

from tapeout.config.export import PromptsJob
from tapeout.config.section import Section

VARIABLE = "TAPEOUT_SERVE"
"""Environment variable with the number of the open file that has the request, as JSON."""
MAX_TOKENS = 512
"""Tokens of an answer, unless stated otherwise."""
PASSAGES = 5
"""Passages that are searched for a message, unless stated otherwise."""
MAX_SEED = (1 << 63) - 1
"""Largest seed of the random numbers."""


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServedModel(Section):
    """A model and its prompts."""

    name: str = Field(min_length=1, description="Name that a user typed.")
    folder: str = Field(description="Folder of the model: Hugging Face, NeMo-2 checkpoint, or adapter.")
    base: str | None = Field(None, description="Folder of the model that an adapter changes.")
    prompts: PromptsJob | None = Field(
        None, description="Prompts of the training; null for a model whose own files have them."
    )
    template: str | None = Field(None, description="Folder of the model whose own chat template renders the rows.")
    sets: tuple[str, ...] = Field(
        (), description="Folders of the instruction sets that it was trained on; without any, it gets questions."
    )

    @property
    def summary(self) -> str:
        """Model that is served, with its prompts."""
        kind = "a model" if self.base is None else f"an adapter of {self.base}"
        own = self.prompts is None
        prompts = "its own chat template" if own else "the prompts of its training" if self.sets else "questions"
        return f"{kind} in {self.folder}, with {prompts}"


class Sampling(Section):
    """Choice of the tokens of an answer."""

    max_tokens: int = Field(MAX_TOKENS, ge=1, description="Maximum tokens of an answer.")
    temperature: float = Field(0.0, ge=0, le=2, description="0 for the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Probability of the likeliest tokens among which one is drawn.")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="Seed of the random numbers; null for another each time."
    )


class ServeJob(Section):
    """Request of ``tapeout serve``."""

    program: Literal["serve"] = "serve"
    model: ServedModel = Field(description="The model.")
    host: str = Field("127.0.0.1", description="Address to listen at.")
    port: int = Field(8000, ge=0, le=65535, description="Port; 0 for a free one.")
    max_tokens: int = Field(MAX_TOKENS, ge=1, description="Maximum tokens of an answer, and of one that states none.")
    waiting: int = Field(16, ge=0, description="Requests that may wait for the one that is answered.")
    threads: int = Field(ge=1, description="Threads of PyTorch.")
    log_prompts: bool = Field(False, description="Log the text of prompts and answers.")
    scratch: str | None = Field(None, description="Folder that the program deletes when it has read the model.")


class ChatJob(Section):
    """Request of ``tapeout chat``."""

    program: Literal["chat"] = "chat"
    models: tuple[ServedModel, ...] = Field(min_length=1, description="Models that answer each message.")
    system: str | None = Field(None, description="System message.")
    template: str | None = Field(None, description="Name of the chat template, of a model with several.")
    complete: bool = Field(False, description="Continue the text instead of answering a message.")
    index: str | None = Field(None, description="Folder of an index whose passages are added to each message.")
    passages: int = Field(PASSAGES, ge=1, description="Passages that are searched for each message.")
    sampling: Sampling = Field(Sampling(), description="How tokens are chosen.")
    as_json: bool = Field(False, description="Print one JSON object per answer.")
    threads: int = Field(ge=1, description="Threads of PyTorch.")
    scratch: str | None = Field(None, description="Folder that the program deletes when it has read the models.")
