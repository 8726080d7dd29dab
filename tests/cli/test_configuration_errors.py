"""A configuration that cannot be read gives the same named error from make, Snakemake and every command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.cli.checks import check_configuration
from tapeout.cli.options import InvalidUse

ROOT = Path(__file__).parents[2]


def call(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("content", [b"dapt: [\n", None])
def test_every_program_names_the_file(tmp_path: Path, content: bytes | None) -> None:
    own = tmp_path / 'its `own` "$HOME" and $(x) \'s.yaml'  # make passes any name on
    if content is not None:
        own.write_bytes(content)
    commands = {
        "snakemake": ("bin/snakemake", "-n", "eval_report", "--configfile", str(own)),
        "tapeout": ("bin/tapeout", "diff", "results", "@a", "--configfile", str(own)),
        "make": ("make", "plan", f"CONFIG={own}"),
    }
    found = {name: call(*command) for name, command in commands.items()}
    texts = {text[text.index("InvalidConfig: ") :].partition("\nmake: ")[0].strip() for _, text in found.values()}
    assert len(texts) == 1 and own.name in texts.pop()
    assert found["snakemake"][0] == 1 and found["tapeout"][0] == 3 and found["make"][0] == 2


@pytest.mark.parametrize("command", [("bin/snakemake", "-n"), ("bin/tapeout", "status")])
def test_a_full_disk_of_the_cache(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command],  # folders can be made, and small files
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (1, 3) and "Traceback" not in done.stdout + done.stderr
    assert "DiskFull: No space is left on the file system at " in done.stderr and f"({tmp_path}" in done.stderr


@pytest.mark.parametrize("command", [("bin/snakemake", "-n"), ("bin/tapeout", "status")])
def test_a_path_without_the_programs_that_snakemake_starts(tmp_path: Path, command: tuple[str, ...]) -> None:
    started = [sys.executable, *command]
    done = subprocess.run(started, cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode in (1, 3) and "Traceback" not in done.stdout + done.stderr
    assert "InvalidEnvironment: There is no program bash on PATH" in done.stderr


def test_words_after_an_option_that_takes_several() -> None:
    for files, overrides, words in (
        (["config/default.yaml", "eval_report"], [], "--configfile takes all words up to the next option"),
        ([], ["dapt"], "not dapt."),
        ([], ["a.b=3"], "not a.b=3."),
    ):
        with pytest.raises(InvalidUse, match="Put the targets before") as found:
            check_configuration(files, overrides)
        assert words in found.value.cause
    check_configuration([], ["dapt={max_steps: 5}"])


@pytest.mark.parametrize("command", [("bin/snakemake", "-n"), ("bin/tapeout", "status")])
@pytest.mark.parametrize("home", ["/dev/null", None])
def test_a_user_without_a_home_folder(command: tuple[str, ...], home: str | None) -> None:
    own = {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    variables = {name: value for name, value in os.environ.items() if name not in own}
    # a user that the system does not know, as in many containers; the test itself may run as any user
    forget = "import os, pwd, runpy, sys; pwd.getpwuid = lambda user: {}[user]; sys.argv = sys.argv[1:]; "
    forget += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    module = {"bin/snakemake": "tapeout.cli.run_snakemake", "bin/tapeout": "tapeout.cli"}[command[0]]
    done = subprocess.run(
        [sys.executable, "-c", forget, module, *command[1:]],
        cwd=ROOT,
        env=variables | ({} if home is None else {"HOME": home}),
        capture_output=True,
        text=True,
    )
    assert done.returncode in (1, 3) and "Traceback" not in done.stderr and "fix: Set HOME" in done.stderr


@pytest.mark.parametrize("command", [("bin/snakemake", "-n"), ("bin/tapeout", "status"), ("make", "plan")])
def test_modules_of_another_python_and_a_cache_that_cannot_be_written(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemError('a module of another Python')\n")
    python = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/none", "PYTHONSAFEPATH": "1"}
    python |= {"PYTHONHASHSEED": "none", "PYTHONWARNINGS": "error"}
    outside = {**python, "XDG_CACHE_HOME": "/sys/none"}
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command],
        cwd=ROOT,
        env={**os.environ, **outside},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode and "Traceback" not in done.stderr, "the standard output is closed"
    assert "NotWritable: /sys/none" in done.stderr and "fix: Set HOME or XDG_CACHE_HOME" in done.stderr
