"""Options, names and completion of the command line; no test here reads a workflow."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapeout.cli.main import app
from tapeout.errors import TapeoutError
from tests.graph.conftest import Project

COMMANDS = [
    *("status", "top", "why", "cost", "diff", "verify", "rebuild", "export", "reproduce", "push", "gc"),
    *("runs save", "runs list", "runs protect", "runs rm", "sources pin"),
    *("trust add", "trust list", "trust remove", "trust sign"),
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> str:
    """Run a command line that must fail with a named error, and return the error."""
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, TapeoutError), result.output
    return str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("rebuild --level values", "--level"),
        ("rebuild --level bytes model", "--level"),
        ("rebuild --keep", "--keep"),
        ("reproduce x --check --folder y", "--folder"),
        ("reproduce x --check --environments y", "--environments"),
        ("reproduce x --check --pip=--quiet", "--pip"),
        ("reproduce x --check --unsigned", "--unsigned"),
        ("reproduce x --check --network", "--network"),
        ("reproduce x --check --unisolated", "--unisolated"),
        ("reproduce x --public-key y --unsigned", "--unsigned"),
        ("reproduce x --unisolated --network", "--network"),
        ("export x --date 2026-01-01", "--date"),
        ("export x --format slsa --unsigned --date 2026-01-01", "--date"),
        ("export x --key y", "--key"),
        ("export x --format rocrate --date 2026-01-01 --unsigned", "--unsigned"),
        ("diff a b --json --limit 3", "--limit"),
        ("diff @a results --actions", "--actions"),
        ("top --once --every 5", "--every"),
        ("top --json --every 5", "--every"),
        ("verify --configfile x.yaml --deep", "--configfile"),
    ],
)
def test_an_option_without_effect_is_refused(arguments: str, option: str) -> None:
    assert run(*arguments.split()).startswith(f"InvalidUse: {option} has no effect ")


def test_an_environment_variable_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEOUT_ENVIRONMENTS", "somewhere")
    monkeypatch.setenv("PIP_OPTIONS", "--quiet")
    assert run("reproduce", "x", "--check").startswith("InvalidExport")


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("run-name before --pin", "tapeout runs save"),
        ("pin hf_model:a/b --file x --json", "tapeout sources pin"),
        ("runs --pin before", "tapeout runs protect"),
        ("runs --unpin before", "tapeout runs protect --off"),
        ("runs --remove before", "tapeout runs rm"),
        ("runs --json", "tapeout runs list --json"),
    ],
)
def test_a_former_name_gives_the_present_one(former: str, present: str) -> None:
    assert f'is now "{present}".' in run(*former.split())


def test_only_present_commands_are_suggested() -> None:
    assert "Did you mean 'runs'?" in CliRunner().invoke(app, ["runs-save", "before"]).output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("status", "NoProject: There is no Snakefile in this folder."),
        ("top", "NoProject: No run was planned in this folder."),
        ("push", "InvalidUse: No remote is set."),
        ("gc", "RequestRefused: There is no store at store."),
        ("runs rm never", "UnknownName: There is no run never."),
        ("verify model@never", "UnknownName: There is no run never."),
        ("export x --format slsa", "InvalidUse: --format slsa needs either a key or --unsigned."),
        ("export x --format rocrate --date today", "InvalidUse: --format rocrate needs a publication date."),
        ("export x --format slsa --key text", "InvalidKey: text has no readable private key"),
        ("reproduce x", "InvalidExport: x is neither a folder nor a complete tar archive"),
        ("reproduce .", "InvalidExport: There is no readable SHA256SUMS"),
        ("reproduce x --public-key text", "InvalidKey: text has no readable public key"),
    ],
)
def test_named_errors(arguments: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEOUT_REMOTE", raising=False)
    Path("text").write_text("text")
    assert run(*arguments.split()).startswith(error) and not Path("x").exists()


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        *(("whi", "'why'"), ("runs sav x", "'save'"), ("verify --dep", "--deep"), ("sources pni", "'pin'")),
        ("gc --older-than soon", "'soon' is not an age such as 30d"),
        ("gc --keep-runs -1", "greater than or equal to 0"),
        ("export x --format zip", "'slsa'"),
    ],
)
def test_usage_errors_suggest_what_is_valid(arguments: str, suggestion: str) -> None:
    result = CliRunner().invoke(app, arguments.split())
    assert result.exit_code == 2 and suggestion in result.output


def test_version() -> None:
    assert re.fullmatch(r"tapeout \d+\.\d+\.\d+\n", CliRunner().invoke(app, ["--version"]).output)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0 and max(map(len, result.output.splitlines())) <= 80


def complete(where: Project, line: str) -> list[str]:
    """Return what bash offers at the end of a command line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_TAPEOUT_COMPLETE": "complete_bash"}
    command = [sys.executable, "-m", "tapeout.cli"]
    environment = {**where.variables(), **words}
    done = subprocess.run(command, cwd=where.root, env=environment, capture_output=True, text=True, timeout=300)
    assert not done.stderr, "a message in the middle of a line"
    return done.stdout.split()


def test_completion_of_artifacts_and_runs(built: Project) -> None:
    assert complete(built, "tapeout why mo") == ["model"]
    assert complete(built, "tapeout verify notes/") == ["notes/de.txt", "notes/en.txt"]
    assert complete(built, "tapeout runs sa") == ["save"]
    folder = built.path("runs/before")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"name": "before", "named": "2026", "pinned": false, "artifacts": {}}')
    assert complete(built, "tapeout runs rm be") == ["before"]
    assert complete(built, "tapeout diff model@") == ["model@before"]
    shutil.rmtree(built.path("results"))
    built.path("results").touch()
    assert complete(built, "tapeout why mo") == []
