"""Two users of one machine build the same results, apart and on one store."""

import os
import shutil
from pathlib import Path

import pytest

from tests.graph.conftest import ALL, Project, make_project

SEEN = """import os, sys, time, locale, getpass, tempfile
from pathlib import Path
seen = [sorted(os.environ), time.tzname, locale.setlocale(locale.LC_ALL, ""), getpass.getuser(), os.umask(0o022)]
seen += [sorted(path.name for path in Path.home().rglob("*")), sorted(os.listdir(tempfile.gettempdir()))]
seen += [sys.flags, sorted(os.listdir())]
"""


def user(name: str, home: Path, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Become a user with a home full of settings."""
    for setting in (".config/matplotlib/matplotlibrc", ".gitconfig", ".netrc", ".cache/huggingface/token"):
        (home / setting).parent.mkdir(parents=True, exist_ok=True)
        (home / setting).write_text(name)
    for variable, value in {
        **{
            "HOME": str(home),
            "USER": name,
            "LOGNAME": name,
            "LANG": f"{name}_XX.UTF-8",
            "LC_NUMERIC": "de_DE",
            "TZ": zone,
        },
        **{"MPLCONFIGDIR": str(home), "XDG_CACHE_HOME": str(home), "OMP_NUM_THREADS": "3", "HTTP_COOKIE": name},
    }.items():
        monkeypatch.setenv(variable, value)


def test_two_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project")
    for script in ("formatted", "notes"):
        project.edit(f"scripts/{script}.py", "from lib.options", f"{SEEN}\nfrom lib.options")
        path = project.path(f"scripts/{script}.py")
        path.write_text(path.read_text() + "output.write_text(output.read_text() + str(seen))\n")
    other = Project(tmp_path / "in another folder")
    shutil.copytree(project.root, other.root, symlinks=True)
    user("ada", tmp_path / "ada", "Asia/Tokyo", monkeypatch)
    monkeypatch.setenv("TAPEOUT_STORE", str(tmp_path / "first"))
    umask = os.umask(0o077)
    try:
        assert project.run().built == ALL
        user("bob", tmp_path / "bob", "America/New_York", monkeypatch)
        os.umask(0o002)
        monkeypatch.setenv("TAPEOUT_STORE", str(tmp_path / "second"))
        assert other.run().built == ALL
        assert other.digests() == project.digests(), "each builds the same bytes"
        shutil.rmtree(other.path("results"))
        monkeypatch.setenv("TAPEOUT_STORE", str(tmp_path / "first"))
        assert other.run().nothing_done, "what one has built, the other has"
        assert other.digests() == project.digests()
    finally:
        os.umask(umask)
