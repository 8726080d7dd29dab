"""Entry point of ``python -m tapeout.cli``, which ``tapeout.cli.start`` starts."""

import signal

from tapeout.graph.console import end_quietly


def run() -> None:
    """Run the command line; Ctrl-C while it is imported ends the process without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    end_quietly()
    from tapeout.cli.main import main

    signal.signal(signal.SIGINT, before)
    main()


if __name__ == "__main__":
    run()
