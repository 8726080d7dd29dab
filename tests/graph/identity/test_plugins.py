"""Code identity of modules that a step loads by name (``tapeout.plugins``)."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeout import plugins
from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.code import closure
from tapeout.plugins import InvalidPlugin, UnknownPlugin

FILES = {
    "step.py": "from seam import loader\n",
    "seam/__init__.py": '"""A seam."""\n',
    "seam/loader.py": "x = 1\n",
    "seam/one.py": "from lib import shared\n",
    "seam/two.py": "y = 2\n",
    "lib/__init__.py": "",
    "lib/shared.py": "z = 3\n",
    "outside/__init__.py": "",
    "outside/deep/__init__.py": "from outside.deep import part\n",
    "outside/deep/part.py": "w = 4\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with a seam of two implementations and one implementation outside of it."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "ROOT", tmp_path)
    monkeypatch.delenv(plugins.VARIABLE, raising=False)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in ("seam", "lib", "outside")]:
        del sys.modules[name]


def test_declared_plugins_and_their_imports_belong_to_the_code(root: Path) -> None:
    alone = closure(root / "step.py", root)
    assert list(alone) == ["seam/__init__.py", "seam/loader.py", "step.py"]
    with_plugins = closure(root / "step.py", root, ["seam.one", "outside.deep"])
    assert set(with_plugins) - set(alone) == {
        *("lib/__init__.py", "lib/shared.py", "seam/one.py"),
        *("outside/__init__.py", "outside/deep/__init__.py", "outside/deep/part.py"),
    }


def test_an_edit_reaches_only_the_steps_that_declare_the_plugin(root: Path) -> None:
    one, two = (closure(root / "step.py", root, [f"seam.{name}"]) for name in ("one", "two"))
    (root / "lib/shared.py").write_text("z = 3  # edited comment\n")
    assert closure(root / "step.py", root, ["seam.one"]) == one
    (root / "lib/shared.py").write_text("z = 33\n")
    assert closure(root / "step.py", root, ["seam.one"]) != one
    assert closure(root / "step.py", root, ["seam.two"]) == two


@pytest.mark.parametrize("name", ["seam.three", "nowhere", "json", "..seam.one", "seam..one", "", "/step"])
def test_plugin_that_is_not_a_module_of_the_project_is_refused(root: Path, name: str) -> None:
    with pytest.raises(InvalidRule, match=rf"no module {name} below"):
        closure(root / "step.py", root, [name])


def test_step_loads_only_what_its_rule_declares(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "seam.one,outside.deep")
    assert plugins.load("seam", "one").__name__ == "seam.one"
    assert plugins.load("seam", "outside.deep").part.w == 4
    with pytest.raises(InvalidPlugin, match=r"seam\.two"):
        plugins.load("seam", "two")
    monkeypatch.setenv(plugins.VARIABLE, "")
    with pytest.raises(InvalidPlugin):
        plugins.load("seam", "one")


def test_unknown_module_is_named_with_the_available_ones(root: Path) -> None:
    with pytest.raises(UnknownPlugin, match=r"no module seam\.three") as raised:
        plugins.load("seam", "three")
    assert "loader, one, two" in raised.value.fix
    with pytest.raises(UnknownPlugin, match=r"no module outside\.shallow"):
        plugins.load("seam", "outside.shallow")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("nothing", r"NameError: name 'nothing' is not defined \(line 1\)"),
        ("import lib.options", "cannot import|No module named 'lib.options'"),
        ("int('x')", r"ValueError: .*\(line 1\)"),
        ("import json\n{}['a']", r"KeyError: 'a' \(line 2\)"),
        ("open('/nowhere/x')", "FileNotFoundError: .*No such file"),
        ("1 / 0", "ZeroDivisionError"),
        ("assert False", "AssertionError"),
        ("from pydantic import BaseModel\nclass A(BaseModel):\n    x: open", r"Pydantic.*\(line 2\)"),
    ],
)
def test_plugin_that_cannot_be_imported_is_named(root: Path, text: str, message: str) -> None:
    (root / "seam/two.py").write_text(f"{text}\n")
    with pytest.raises(InvalidPlugin, match=rf"seam\.two cannot be imported: .*{message}"):
        plugins.load("seam", "two")


@pytest.mark.parametrize("name", ["..seam.one", ".one", "outside..deep", "../one", "os.path", "json.decoder"])
def test_name_that_leads_out_of_the_project_is_unknown(root: Path, name: str) -> None:
    with pytest.raises(UnknownPlugin):
        plugins.load("seam", name)


def test_module_of_this_name_elsewhere_on_the_path_is_not_taken_for_that_of_the_project(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("site-packages")
    for folder, text in ((root, "here"), (elsewhere, "elsewhere")):
        (folder / "lib_of_two").mkdir()
        (folder / "lib_of_two/part.py").write_text(f"x = {text!r}\n")
    (elsewhere / "lib_of_two/__init__.py").write_text("")  # a package hides a folder without __init__.py
    monkeypatch.syspath_prepend(elsewhere)
    assert "lib_of_two/part.py" in closure(root / "step.py", root, ["lib_of_two.part"])
    with pytest.raises(UnknownPlugin, match=r"lib_of_two\.part"):
        plugins.load("seam", "lib_of_two.part")


def test_data_files_beside_a_plugin_in_a_folder_without_init_count(root: Path) -> None:
    (root / "loose").mkdir()
    (root / "loose/plugin.py").write_text("x = 1\n")
    (root / "loose/words.txt").write_text("one\n")
    assert "loose/words.txt" in closure(root / "step.py", root, ["loose.plugin"])
