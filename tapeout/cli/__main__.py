"""Entry point of ``python -m tapeout.cli``, which ``tapeout.cli.start`` starts."""

from tapeout.cli.main import main

if __name__ == "__main__":
    main()
