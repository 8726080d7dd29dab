"""The program tapeout: installed with pip, started in any folder of a project."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from tapeout.cli.options import caller_path
from tapeout.cli.start import NoProject, expand_home, find_project, split_arguments

pytestmark = pytest.mark.environment("nemo")  # the one whose setuptools builds a wheel without the network
ROOT = Path(__file__).parents[2]


def test_the_project_is_the_nearest_folder_above(tmp_path: Path) -> None:
    inner = ROOT / "tests" / "graph" / "project"  # it has a Snakefile, but no command line
    assert find_project(inner) == find_project(ROOT) == ROOT
    with pytest.raises(NoProject, match="no Snakefile in"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "folder", "rest"),
    [
        (["status", "--json"], "", ["status", "--json"]),
        (["-C", "docs", "status"], "docs", ["status"]),
        (["--project=docs", "-C", "recording", "why", "-C"], "docs/recording", ["why", "-C"]),
    ],
)
def test_the_project_is_named_as_in_git_and_make(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], folder: str, rest: list[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert split_arguments(arguments) == (ROOT / folder, rest)
    for wrong in (["-C"], ["-C", "nowhere", "status"], ["--project=", "status"]):
        with pytest.raises(NoProject, match="is not a folder"):
            split_arguments(wrong)


def test_an_installation_with_pip_has_a_program_that_works_in_and_outside_a_project(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    shutil.copytree(ROOT / "tapeout", source / "tapeout", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    outside.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-index", "--no-deps"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("tapeout-*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    subprocess.run([*pip, "--python", str(tmp_path / "venv/bin/python"), "install", *offline, str(wheel)], check=True)

    def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
        command = [str(tmp_path / "venv/bin/tapeout"), *arguments]
        done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr

    version = f"tapeout {wheel.name.split('-')[1]}\n"
    assert call(outside, "--version") == call(ROOT / "docs", "--version") == (0, version, "")
    status, _, errors = call(outside, "status")
    assert status == 3 and errors.startswith("NoProject: ") and "tapeout --project DIR" in errors
    for below in (call(ROOT / "docs", "diff", "./a", "b"), call(outside, "-C", str(ROOT / "docs"), "diff", "./a", "b")):
        assert below[0] == 3 and below[2].startswith("UnknownName: There is no file or folder ./docs/a.")
    status, _, errors = call(ROOT / "docs", "cost", "--configfile", "my.yaml")
    assert status == 3 and "There is no configuration file docs/my.yaml." in errors


@pytest.mark.parametrize("program", ["tapeout", "snakemake"])
def test_a_current_folder_that_was_deleted(tmp_path: Path, program: str) -> None:
    script = f'rmdir "$PWD"; exec {sys.executable} {ROOT / "bin" / program} --version'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3 and done.stderr.startswith("NoProject: The current folder no longer exists.")


def test_the_version_of_a_clone_outside_of_a_project(tmp_path: Path) -> None:
    command = [sys.executable, "-S", str(ROOT / "bin" / "tapeout"), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tapeout {version}\n", "")


def test_a_leading_tilde_that_no_shell_has_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOME", "/home/x"), ("TAPEOUT_STORE", "~/store"), ("TAPEOUT_REMOTE", "s3://bucket/~a")):
        monkeypatch.setenv(name, value)
    expand_home()
    assert [os.environ[name] for name in ("TAPEOUT_STORE", "TAPEOUT_REMOTE")] == ["/home/x/store", "s3://bucket/~a"]
    assert caller_path("~/out") == Path("/home/x/out")
