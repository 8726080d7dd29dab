"""Tables on narrow terminals."""

import io

import pytest
from rich.console import Console

from tapeout.cli.output import table

NAME = "evaluation/base/instruction_answers/rtl.json"


@pytest.mark.parametrize("width", [72, 80, 120])
def test_no_short_word_is_split(width: int) -> None:
    words = ["likely", "2 min 10 s", "recorded", "7b3401ad12cc", "122.8 MB"]
    console = Console(file=io.StringIO(), width=width)
    console.print(
        table(["artifact", "runs", ">time", "from", "digest", ">to store"], [[NAME, *words], ["base", *words]])
    )
    printed = console.file.getvalue()
    assert all(printed.count(word) == 2 for word in words)
    assert max(map(len, printed.splitlines())) <= width
    assert NAME in "".join(line.split(" ")[0] for line in printed.splitlines())
