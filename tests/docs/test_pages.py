"""Pages of the documentation: every command is run by a test, and every link leads somewhere."""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, all_commands, commands, links
from tests.docs.table import COMPOSED, ELSEWHERE, FINISHED, PARSED, Row, distinct


def test_every_command_has_one_row_and_every_row_a_command() -> None:
    rows = Counter([*(row.text for row in (*FINISHED, *PARSED)), *ELSEWHERE, *COMPOSED])
    assert {text for text, count in rows.items() if count > 1} == set()
    stated = {command.text: f"{command.page}, line {command.line}" for command in all_commands()}
    assert {text: place for text, place in stated.items() if text not in rows} == {}, "add them to tests/docs/table.py"
    assert rows.keys() - stated.keys() == set(), "no page states them any more"


def test_commands_are_found_in_blocks_and_sentences() -> None:
    page = "Run `make\ncheck` or:\n\n    tapeout gc   # a comment\n    tapeout/ is a folder\n\n```python\nmake x\n```\n"
    page += "```\n$ no\nA=1 snakemake words\nmake: error\n```\n`tapeout` and `results/a` are names.\n"
    found = [(command.text, command.line) for command in commands("p.md", page)]
    assert sorted(found) == [("A=1 snakemake words", 12), ("make check", 1), ("tapeout gc", 4)]


@pytest.mark.parametrize("row", distinct(PARSED), ids=lambda row: row.text)
def test_command_that_needs_no_results(row: Row, tmp_path: Path) -> None:
    variables = {**os.environ, "ROOT": str(ROOT), "PATH": f"{ROOT}/bin:{os.environ['PATH']}"}
    where = tmp_path if row.text.startswith("git") else ROOT
    command = ["bash", "-c", row.command]
    done = subprocess.run(command, cwd=where, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode in row.statuses and "Traceback" not in done.stderr, done.stdout + done.stderr


def test_commands_that_other_tests_run_and_that_the_program_composes() -> None:
    for path, name in ELSEWHERE.values():
        assert name in (ROOT / path).read_text()
    for text, path in COMPOSED.items():
        source = (ROOT / path).read_text()
        for option in re.findall(r"--[a-z][a-z-]+", text) or [" ".join(text.split()[1:4]).rstrip(": …")]:
            assert option in source, (text, option)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for path, anchor in links(page):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings]


def test_documented_commands_exist_with_their_options() -> None:
    """The table of docs/commands.md names every command and only options that it has."""
    from typer.main import get_command

    from tapeout.cli.main import app

    top = get_command(app)
    assert hasattr(top, "commands")
    rows = re.findall(r"^\| `([a-z].*?)` \|", (ROOT / "docs/commands.md").read_text(), flags=re.MULTILINE)
    documented = set()
    for text in rows:
        words = text.split()
        command = top.commands.get(words[0])
        if command is None:
            continue
        if hasattr(command, "commands"):
            documented.add(f"{words[0]} {words[1]}")
            command = command.commands[words[1]]
        else:
            documented.add(words[0])
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", text)) <= options, text
    shown = {name: command for name, command in top.commands.items() if not command.hidden}
    groups = {name: command.commands for name, command in shown.items() if hasattr(command, "commands")}
    every = {name for name in shown if name not in groups}
    assert documented == every | {f"{group} {name}" for group, inner in groups.items() for name in inner}
