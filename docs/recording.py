"""Draw a terminal recording as an animated SVG: one scene for each command, shown one after the other.

``python docs/recording.py FILE WIDTH HEIGHT COMMAND...`` in the workflow environment runs the commands, each one word
of the shell, in the current folder. Commands that begin with ``@`` are run and not shown. The picture repeats; it needs
neither a script nor a font from elsewhere. ``ONE_ROW`` are the commands of docs/recording/one_row.svg, which
``python docs/recording.py`` draws without arguments in a project with finished results.
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

ONE_ROW = (
    "@tapeout runs save before",
    "sed -i 's/The clock and the reset/The clock, then the reset/' config/questions.jsonl",
    "tapeout why sft/model",
    "tapeout cost",
    "snakemake eval_report",
    "tapeout diff @before results",
)
SECONDS = 7.0
"""Time that a scene is shown."""
SCENE = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


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


def scenes(commands: list[str], width: int, height: int) -> list[str]:
    """Return a picture for each command; one without output is shown above the next one.

    Of a long output, the beginning and the end are shown.
    """
    pictures: list[str] = []
    shown = Text()
    for command in commands:
        output = terminal_output(["bash", "-c", command.removeprefix("@")], width)
        if command.startswith("@"):
            continue
        lines = output.rstrip("\n").split("\n") if output.strip() else []
        shown.append("$ ", style="bold green").append(f"{command}\n", style="bold")
        if not lines:
            continue
        kept = height - shown.plain.count("\n")
        if len(lines) > kept:
            half = kept // 2
            lines = [*lines[: kept - half - 1], "…", *lines[-half:]]
        pictures.append(picture(shown + Text.from_ansi("\n".join(lines)), width, height, f"scene{len(pictures)}"))
        shown = Text()
    return pictures


def picture(text: Text, width: int, height: int, name: str) -> str:
    """Return a terminal of fixed size as SVG."""
    with open("/dev/null", "w") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True)
        console.print(text, end="")
        console.print("\n" * max(0, height - 1 - text.plain.count("\n")))
        return FONTS.sub("", console.export_svg(title="Tapeout", unique_id=name))


def animate(pictures: list[str]) -> str:
    """Return one SVG that shows the pictures one after the other, without end."""
    found = BOX.search(pictures[0])
    assert found, "rich states the size of its pictures"
    total, share = SECONDS * len(pictures), 100 / len(pictures)
    on, off = f"0%, {share - 0.5:.2f}% {{ opacity: 1 }}", f"{share:.2f}%, 99.5% {{ opacity: 0 }}"
    rules = [
        f"@keyframes show {{ {on} {off} 100% {{ opacity: 1 }} }}",
        f".scene {{ opacity: 0; animation: show {total:g}s infinite }}",
        *(f"#s{number} {{ animation-delay: {number * SECONDS - total:g}s }}" for number in range(1, len(pictures))),
    ]
    parts = []
    for number, one in enumerate(pictures):
        inner = SCENE.search(one)
        assert inner, "rich writes one svg element"
        parts.append(f'<g class="scene" id="s{number}">{inner[1]}</g>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {found[1]} {found[2]}">'
    return "\n".join([head, "<style>", *rules, "</style>", *parts, "</svg>", ""])


def main() -> None:
    """Write the recording."""
    file, width, height, *commands = sys.argv[1:] or ("docs/recording/one_row.svg", "100", "30", *ONE_ROW)
    Path(file).write_text(animate(scenes(commands, int(width), int(height))))


if __name__ == "__main__":
    main()
