"""``python -m tapeout.cli``: what ``bin/tapeout`` runs."""

from tapeout.cli.main import main

if __name__ == "__main__":
    main()
