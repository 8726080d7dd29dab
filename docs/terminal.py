"""Draw the output of a command in a terminal of a given width as SVG, for the documents.

``python docs/terminal.py FOLDER WIDTH NAME COMMAND...`` in the workflow environment; writes ``FOLDER/NAME-WIDTH.svg``.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fonts that rich loads from a server; without them the page uses local fonts and works offline."""


def terminal_output(command: list[str], width: int) -> str:
    """Return what a command writes to a terminal of this width, with its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(width)}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    parts = []
    try:
        while block := os.read(ours, 1 << 16):
            parts.append(block)
    except OSError:  # a pseudo-terminal raises it when its other end is closed
        pass
    process.wait()
    return b"".join(parts).decode().replace("\r\n", "\n")


def main() -> None:
    """Write one picture."""
    folder, width, name, *command = sys.argv[1:]
    line = " ".join(f"'{word}'" if " " in word else word for word in command)
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=int(width), file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(terminal_output(command, int(width))))
        picture = console.export_svg(title=f"$ {Path(command[0]).name} {line.partition(' ')[2]}", unique_id=name)
    path = Path(folder, f"{name}-{width}.svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FONTS.sub("", picture))


if __name__ == "__main__":
    main()
