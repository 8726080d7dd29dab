"""``tapeout chat``: talk to one or several models in the terminal."""

from typing import Annotated

import typer

from tapeout.cli.options import AsJson, ConfigFiles, InvalidUse, addresses, refuse
from tapeout.cli.serve import Threads
from tapeout.cli.served_model import ModelFinder, execute, require_environment, threads
from tapeout.config.serving import MAX_SEED, MAX_TOKENS, PASSAGES, ChatJob, Sampling


def chat(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="An artifact such as export/hf, sft or sft/model@RUN, or ./path.",
            autocompletion=addresses,
        ),
    ] = "",
    compare: Annotated[
        str, typer.Option("--compare", metavar="A,B", help="Models that answer too, side by side: base,sft.")
    ] = "",
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="System message.")] = None,
    template: Annotated[
        str | None, typer.Option("--template", metavar="NAME", help="Chat template, of a model with several.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="Continue the text, as a model without instruction tuning does.")
    ] = False,
    retrieve: Annotated[
        str,
        typer.Option(
            "--retrieve",
            metavar="INDEX",
            help="Show the model passages of an index, such as retrieval/index/bm25.",
            autocompletion=addresses,
        ),
    ] = "",
    passages: Annotated[
        int, typer.Option("--passages", min=1, metavar="K", help="Passages that are searched for a message.")
    ] = PASSAGES,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, metavar="N", help="Maximum tokens of an answer.")
    ] = MAX_TOKENS,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, max=2, metavar="T", help="0 for the likeliest token.")
    ] = 0.0,
    top_p: Annotated[
        float,
        typer.Option("--top-p", max=1, metavar="P", help="Draw among the likeliest tokens with this probability."),
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=MAX_SEED, metavar="N", help="Seed of the random numbers.")
    ] = None,
    number: Threads = None,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Talk to a model in the terminal, or to several side by side.

    A line is a message; a block between two lines of \"\"\" is a message of several lines. /reset forgets the
    conversation, /exit or Ctrl-D ends, Ctrl-C stops an answer, /help lists the commands. Messages are also read from a
    pipe, and --json prints an object per answer.

    \b
    tapeout chat sft
    tapeout chat --compare base,sft,sft/model@before
    tapeout chat sft --retrieve retrieval/index/embedder_tuned
    echo 'What is a FIFO?' | tapeout chat export/hf --json

    Exit code 1 if a message got no answer, else 0.
    """
    names = [name for name in (model, *compare.split(",")) if name]
    if not names:
        raise InvalidUse("No model is named.", "Name one, such as sft, or several: --compare base,sft")
    if len(set(names)) < len(names):
        raise InvalidUse("A model is named twice.", "Name each once.")
    if complete:
        unused = ["system", "template", "retrieve"]
        refuse(context, unused, "with --complete, which uses no chat template", "Leave one out.")
    if not retrieve:
        refuse(context, ["passages"], "without --retrieve", "Name an index.")
    if temperature == 0:
        refuse(context, ["top_p", "seed"], "at temperature 0", "Set --temperature too.")
    if top_p <= 0:
        raise InvalidUse(f"--top-p is {top_p}, which leaves no token.", "Choose a probability above 0.")
    require_environment()
    with ModelFinder(configfile) as finder:
        models = tuple(map(finder.find, names))
        index = finder.find_index(retrieve) if retrieve else None
        job = ChatJob(
            models=models,
            system=system,
            template=template,
            complete=complete,
            index=index,
            passages=passages,
            sampling=Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed),
            as_json=as_json,
            threads=number or threads(),
            scratch=None if finder.scratch is None else str(finder.scratch),
        )
        execute(job)
