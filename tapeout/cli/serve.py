"""``tapeout serve``: an OpenAI-compatible server of a model."""

from typing import Annotated

import typer

from tapeout.cli import output
from tapeout.cli.options import ConfigFiles, InvalidUse, addresses
from tapeout.cli.served_model import ModelFinder, execute, require_environment, threads
from tapeout.config.serving import MAX_TOKENS, ServeJob, is_loopback

Threads = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", help="Threads of PyTorch; by default, all processors.")
]


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="An artifact such as export/hf, sft or sft/model@RUN, or ./path.",
            autocompletion=addresses,
        ),
    ],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for a free one.")] = 8000,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at.")] = "127.0.0.1",
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Permit an address that other machines can reach.")
    ] = False,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, metavar="N", help="Maximum tokens of an answer.")
    ] = MAX_TOKENS,
    queue: Annotated[
        int, typer.Option("--queue", min=0, metavar="N", help="Requests that may wait; further ones get status 503.")
    ] = 16,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Log the text of prompts and answers.")] = False,
    number: Threads = None,
    check: Annotated[
        bool, typer.Option("--check", help="Find the model and check the options; start nothing.")
    ] = False,
    configfile: ConfigFiles = None,
) -> None:
    """Serve a model with OpenAI's API, on this machine only.

    Offers /v1/chat/completions, /v1/completions, /v1/models, /tokenize and /health. One request at a time is answered,
    on the CPU; others wait. The prompts have the token ids of the training. Prints a line per request, without its
    text. Ctrl-C ends it. docs/serving.md has limits and examples.

    Exit code 0 after Ctrl-C or SIGTERM.
    """
    loopback = is_loopback(host)
    if not loopback and not allow_network:
        raise InvalidUse(
            f"Other machines can reach {host}, and the server asks for no password.",
            "Leave out --host, or add --allow-network if you want that.",
        )
    if loopback and allow_network:
        raise InvalidUse(
            f"--allow-network has no effect at {host}.", "Leave it out, or name another address with --host."
        )
    require_environment()
    with ModelFinder(configfile) as finder:
        found = finder.find(model)
        job = ServeJob(
            model=found,
            host=host,
            port=port,
            max_tokens=max_tokens,
            waiting=queue,
            threads=number or threads(),
            log_prompts=log_prompts,
            scratch=None if finder.scratch is None else str(finder.scratch),
        )
        if not loopback:
            output.errors.print(f"Warning: everybody who can reach {host} can use the model; there is no password.")
        if check:
            finder.clean()
            print(f"{model} can be served: {found.summary}.")
            return
        execute(job)
