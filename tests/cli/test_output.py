"""Tables on narrow terminals, and texts of users, which are shown as they are."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from tapeout.cli import output
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


def test_texts_of_users_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and parameters with brackets were read as markup: q[i] lost its index, [/INST] gave a traceback."""
    texts = ["q[i] <= d[3:0];", "[/INST] x", "[red]x[/]", "s ? a :key: b", r"\[b]"]
    monkeypatch.setattr(output.console, "_file", io.StringIO())
    output.show({}, False, *texts, table(["text"], [[text] for text in texts]))
    printed = output.console.file.getvalue()
    assert all(printed.count(text) == 2 for text in texts)
    hostile = "a\x1b[2J\u202eb"
    output.show({}, False, table(["text"], [[hostile]]), Text(hostile), hostile)
    assert output.console.file.getvalue().count(r"a\x1b[2J\u202eb") == 3
