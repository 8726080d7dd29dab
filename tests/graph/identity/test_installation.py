"""Installed environments: every change of their content is named, and what programs leave behind is not."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.errors import EnvironmentChanged, InvalidEnvironment
from tapeout.graph.identity import installation
from tapeout.graph.identity.digest import digest_bytes, digest_file
from tapeout.graph.identity.environment import Environment, changed
from tapeout.graph.identity.installation import LISTING, MARK, STATES, Mark, complete, differences, unchanged
from tests.graph.upkeep.test_verify import flip

PACKAGES = "lib/python3.11/site-packages"
OMITTED = shutil.ignore_patterns("site-packages", "test", "config-*", "idlelib", "lib2to3", "tkinter", "__pycache__")
BYTE_CODE = f"{PACKAGES}/package/__pycache__/module.{sys.implementation.cache_tag}.pyc"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Python, and an environment of it with one package, some of it compiled."""
    root = tmp_path_factory.mktemp("python")
    (root / "python" / "bin").mkdir(parents=True)
    python = shutil.copy2(Path(sys.executable).resolve(), root / "python" / "bin" / "python3.11")
    shutil.copytree(sysconfig.get_path("stdlib"), root / "python" / "lib" / "python3.11", ignore=OMITTED)
    (root / "python" / "include" / "python3.11").mkdir(parents=True)
    (root / "python" / "include" / "python3.11" / "Python.h").write_text("#define PYTHON\n")
    subprocess.run([python, "-m", "venv", "--without-pip", root / "environment"], check=True)
    package = root / "environment" / PACKAGES / "package"
    package.mkdir()
    for name in ("__init__.py", "module.py", "other.py", "words.txt"):
        (package / name).write_text("VALUE = 1\n")
    (package.parent / "paths.pth").write_text("package\n")
    subprocess.run([python, "-m", "compileall", "-q", package / "module.py"], check=True)
    complete(root / "environment", "0" * 64, "3.11")
    return root


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A copy of the environment, which uses the same Python."""
    subprocess.run(["cp", "-a", template / "environment", tmp_path / "environment"], check=True)
    return tmp_path / "environment"


def edit(path: Path) -> None:
    """Change a file in place, without a change of its size."""
    path.chmod(0o755)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def write(path: Path, text: str = "x = 1\n") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def replace(path: Path, make: Callable[[Path], None]) -> None:
    """Replace a file by something else."""
    path.unlink()
    make(path)


def append(path: Path) -> None:
    path.chmod(0o755)
    with path.open("ab") as file:
        file.write(b"\n# more")


MODULE = f"{PACKAGES}/package/module.py"
DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    (MODULE, edit, "was edited"),
    (MODULE, append, "was edited"),
    (MODULE, Path.unlink, "was removed"),
    (MODULE, lambda path: replace(path, lambda path: path.symlink_to("other.py")), "is another link"),
    (MODULE, lambda path: replace(path, os.mkfifo), "is not a regular file"),
    (MODULE, lambda path: replace(path, Path.mkdir), "was removed"),
    (f"{PACKAGES}/package/words.txt", append, "was edited"),
    (f"{PACKAGES}/package/new.py", write, "was added"),
    (f"{PACKAGES}/package/new.pyc", write, "was added"),
    (f"{PACKAGES}/package/__pycache__/new.py", write, "was added"),
    (f"{PACKAGES}/package/__pycache__/new.pyc", write, "was added"),
    (f"{PACKAGES}/__pycache__/__init__.pyc", write, "was added"),
    (f"{PACKAGES}/not__pycache__/new.pyc", write, "was added"),
    (f"{PACKAGES}/another/module.py", write, "was added"),
    (f"{PACKAGES}/sitecustomize.py", write, "was added"),
    (f"{PACKAGES}/new.pth", write, "was added"),
    (f"{PACKAGES}/paths.pth", append, "was edited"),
    (f"{PACKAGES}/package/\udc80.py", write, "was added"),
    ("pyvenv.cfg", append, "was edited"),
    ("bin/activate", edit, "was edited"),
    ("bin/python", lambda path: replace(path, lambda path: path.symlink_to(sys.executable)), "is another link"),
    ("lib64", lambda path: replace(path, lambda path: path.symlink_to("bin")), "is another link"),
    (LISTING, append, "is missing or damaged"),
    (LISTING, Path.unlink, "is missing or damaged"),
]
IN_PLACE = {edit, append}


@pytest.mark.parametrize(("path", "damage", "problem"), DAMAGES)
def test_every_change_is_named(folder: Path, path: str, damage: Callable[[Path], None], problem: str) -> None:
    assert differences(folder) == [] and unchanged(folder)
    damage(folder / path)
    assert (path, problem) in {(found.path, found.problem) for found in differences(folder)}
    read_at_start = path.endswith((".pth", ".cfg"))
    if read_at_start or (damage not in IN_PLACE and path != LISTING and "__pycache__" not in path):
        assert not unchanged(folder)
        assert differences(folder) and not unchanged(folder)  # what was found is not accepted


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("bin/python3.11", append),
        ("include/python3.11/Python.h", append),
        ("lib/python3.11/json/decoder.py", append),
        ("lib/python311.zip", write),
    ],
)
def test_a_change_of_the_python_is_named(
    template: Path, folder: Path, tmp_path: Path, path: str, damage: Callable[[Path], None]
) -> None:
    file, saved = template / "python" / path, tmp_path / "saved"
    if file.exists():
        shutil.copy2(file, saved)
    damage(file)
    try:
        error = changed("tiny", folder, differences(folder))
        where = folder / "bin/python" if path.startswith("bin") else file  # named by the link that leads to it
        assert f"{where} was " in error.cause
        if not path.startswith("bin"):
            assert "Install this Python again" in error.fix
    finally:
        shutil.copy2(saved, file) if saved.exists() else file.unlink()
    assert differences(folder) == []


def touch(folder: Path) -> None:
    for path in (folder / PACKAGES / "package").iterdir():
        os.utime(path, ns=(1, 1))


def copy_without_times(folder: Path) -> None:
    subprocess.run(["cp", "-r", folder, f"{folder}.new"], check=True)
    shutil.rmtree(folder)
    Path(f"{folder}.new").rename(folder)


def edit_states(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    states = json.loads((folder / STATES).read_bytes())
    edit(states)
    (folder / STATES).write_text(json.dumps(states))


def in_cache(name: str) -> Callable[[Path], None]:
    return lambda folder: write(folder / PACKAGES / "package" / "__pycache__" / name)


INNOCENT: list[Callable[[Path], None]] = [
    touch,
    copy_without_times,
    lambda folder: (folder / BYTE_CODE).unlink(),
    lambda folder: append(folder / BYTE_CODE),
    lambda folder: (folder / PACKAGES / "empty").mkdir(),
    lambda folder: write(folder / "bin" / "__pycache__" / f"gone.{sys.implementation.cache_tag}.pyc"),
    *(in_cache(f"other.{sys.implementation.cache_tag}{end}") for end in (".pyc", ".opt-1.pyc", "-pytest-8.pyc")),
    *(in_cache(name) for name in (f"other.{sys.implementation.cache_tag}.pyc.123", "other.cpython-312.pyc")),
    *(in_cache(f"module.f-1.py311.{end}") for end in ("nbi", "nbc", "1.nbc")),
    lambda folder: write(folder / f".{STATES}.0123456789abcdef.tmp"),
    lambda folder: edit_states(folder, lambda states: [states.pop(key) for key in ("root", "changes")]),
    lambda folder: (folder / STATES).write_text("{}"),
    lambda folder: (folder / STATES).unlink(),
]


@pytest.mark.parametrize("change", INNOCENT)
def test_what_programs_leave_behind_is_accepted(folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    assert differences(folder) == []
    assert unchanged(folder)  # steps need not compare everything


TAG = sys.implementation.cache_tag
OTHERS = [f"other.{TAG}{end}" for end in (".pyc", ".pyc.123", ".opt-1.pyc", ".opt-2.pyc", "-pytest-8.pyc", "-x.pyc")]


def test_byte_code_is_deleted_unless_it_is_as_listed(folder: Path) -> None:
    cache = (folder / BYTE_CODE).parent
    edit(folder / BYTE_CODE)
    for name in (*OTHERS, "gone.cpython-311.pyc", "module.f-1.py311.nbi", "other.cpython-312.pyc"):
        write(cache / name)
    assert differences(folder) == [] and list(cache.iterdir()) == []


def test_other_byte_code_of_the_standard_library_is_deleted_if_it_is_newer(template: Path, folder: Path) -> None:
    """Byte code that an interpreter has brought stays; no program of the environment wrote it."""
    cache = template / "python/lib/python3.11/json/__pycache__"
    old, new = cache / f"decoder.{TAG}.opt-1.pyc", cache / f"encoder.{TAG}.opt-1.pyc"
    write(old)
    (folder / LISTING).touch()  # as if it was installed now
    write(new)
    try:
        assert differences(folder) == []
        assert old.exists() and not new.exists()
    finally:
        shutil.rmtree(cache)


def test_a_link_in_place_of_byte_code_is_named(folder: Path) -> None:
    (folder / BYTE_CODE).with_name(OTHERS[2]).symlink_to(folder / MODULE)
    assert [found.problem for found in differences(folder)] == ["is another link"]


@pytest.mark.parametrize("path", [MODULE, f"{PACKAGES}/package/words.txt"])
def test_an_edit_that_keeps_size_and_time_is_found_when_a_run_begins(folder: Path, path: str) -> None:
    assert differences(folder) == []
    flip(folder / path)
    assert unchanged(folder), "between the steps of a run not every file is looked at"
    for _ in range(2):
        assert [(found.path, found.problem) for found in differences(folder)] == [(path, "was edited")]


def test_byte_code_with_the_same_size_and_time_is_deleted(folder: Path) -> None:
    assert differences(folder) == []
    flip(folder / BYTE_CODE)
    assert differences(folder) == [] and not (folder / BYTE_CODE).exists()


def test_after_a_copy_every_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(installation, "digest_file", lambda path: read.append(path) or digest_file(path))
    assert differences(folder) == [] and folder / MODULE in read
    read.clear()
    assert differences(folder) == [] and read == []
    os.link(folder / MODULE, folder.parent / "link")  # its change time is another one
    assert differences(folder) == [] and {path.parent for path in read} == {(folder / MODULE).parent}


@pytest.mark.parametrize("name", ["new.py", "folder", "new.pth"])
def test_a_new_name_in_the_folder_itself_is_noticed_between_steps(folder: Path, name: str) -> None:
    assert differences(folder) == [] and unchanged(folder)
    (folder / name).mkdir() if name == "folder" else write(folder / name)
    assert not unchanged(folder)
    assert [found.path for found in differences(folder)] == ([] if name == "folder" else [name])


@pytest.mark.parametrize("content", [b"", b"\xff\n\n", b"0\n0\n", b"{}\n" * 4])
def test_a_mark_of_another_version_or_none_is_no_installation(folder: Path, content: bytes) -> None:
    (folder / MARK).write_bytes(content)
    assert Mark.read(folder) is None


def test_a_listing_of_other_content_with_its_digest_in_the_mark(folder: Path) -> None:
    for content in (b"no JSON", b"[]", b"{}"):
        (folder / LISTING).write_bytes(content)
        Mark("0" * 64, digest_bytes(content), "3.11").write(folder)
        assert [found.problem for found in differences(folder)] == ["is missing or damaged"]


def test_an_interpreter_that_does_not_start_is_named(folder: Path) -> None:
    (folder / "bin" / "python").unlink()
    with pytest.raises(InvalidEnvironment, match="does not start"):
        complete(folder, "0" * 64, "3.11")
    assert Mark.read(folder) is None


def test_the_error_names_the_file_and_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment("tiny", {}, "0" * 64, "3.11")
    folder.rename(folder.parent / "tiny-0000000000000000")
    monkeypatch.chdir(folder.parent)
    (folder.parent / ".envs").symlink_to(folder.parent)
    environment.require()
    edit(environment.folder / MODULE)
    environment.require()  # in place: only the comparison at the beginning of a run sees it
    with pytest.raises(EnvironmentChanged, match=f"{MODULE} was edited.") as raised:
        environment.check_files()
    assert raised.value.fix == "Run: make environments ADD=tiny"
    write(environment.folder / PACKAGES / "new.pth")
    with pytest.raises(EnvironmentChanged, match="files that differ: 2"):
        environment.require()
