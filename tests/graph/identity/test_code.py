"""Code identity: which files belong to the code of a step."""

import os
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.code_tree import materialise


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with every form of import."""
    files = {
        "scripts/step.py": "import json\nfrom pkg.sub import leaf\nimport pkg.other.deep as d\n",
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "from . import sibling\n",
        "pkg/sub/leaf.py": "def f():\n    from ..late import x\n    return x\n",
        "pkg/sub/sibling.py": "A = 1\n",
        "pkg/sub/words.txt": "one two\n",
        "pkg/late.py": "x = 1\n",
        "pkg/unused.py": "y = 1\n",
        "pkg/other/__init__.py": "",
        "pkg/other/deep.py": "import pkg.other.deep\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_closure_follows_every_import_and_includes_data_files(root: Path) -> None:
    assert list(closure(root / "scripts/step.py", root)) == [
        "pkg/__init__.py",
        "pkg/late.py",
        "pkg/other/__init__.py",
        "pkg/other/deep.py",
        "pkg/sub/__init__.py",
        "pkg/sub/leaf.py",
        "pkg/sub/sibling.py",
        "pkg/sub/words.txt",
        "scripts/step.py",
    ]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A = 1", "A = 1  # why", True),
        ("A = 1", '"""Doc."""\nA = (\n    1\n)', True),
        ("A = 1", 'A = 1\n"""What A is."""', True),
        ("A = 1", "A = 1.0", False),
        ("A = 1", "A: int = 1", False),
    ],
)
def test_comments_docstrings_and_formatting_do_not_change_the_digest(
    root: Path, old: str, new: str, same: bool
) -> None:
    before = closure(root / "scripts/step.py", root)
    path = root / "pkg/sub/sibling.py"
    path.write_text(path.read_text().replace(old, new))
    assert (closure(root / "scripts/step.py", root) == before) == same


def test_null_byte_is_named(root: Path) -> None:
    (root / "pkg/late.py").write_bytes(b"x = 1\0\n")
    with pytest.raises(InvalidRule, match=r"pkg/late\.py"):
        closure(root / "scripts/step.py", root)


UNUSABLE = {
    "endless number": "X = 0x" + "f" * 20_000,
    "deep expression": "x = " + "-" * 5000 + "1",
    "deeper expression": "x = " + "-" * 50_000 + "1",
    "many branches": "if 1:\n    pass\n" + "elif 1:\n    pass\n" * 2000,
    "no function": "return 1\n",
    "no loop": "break\n",
    "two arguments of one name": "def f(a, a): ...\n",
    "deep attribute": "x = a" + ".b" * 900,
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_python_cannot_read_or_write_is_named(root: Path, text: str) -> None:
    (root / "pkg/late.py").write_text(text)
    with pytest.raises(InvalidRule, match=r"pkg/late\.py"):
        materialise(closure(root / "scripts/step.py", root), root, root / "trees")


@pytest.mark.parametrize("text", ["x = '\\ud800'\n", "x = 1\ny = f'\\ud800{x}'\n", "x = 1e400 - 0j\n", "\ufeffx = 1\n"])
def test_half_characters_and_unusual_numbers_are_usable(root: Path, text: str) -> None:
    (root / "pkg/late.py").write_text(text)
    assert materialise(closure(root / "scripts/step.py", root), root, root / "trees").is_dir()


@pytest.mark.parametrize("name", [b"\xff.txt", b"a\nb.txt", b"\xff/words.txt", "a\u202eb".encode()])
def test_a_data_file_without_a_printable_name_is_refused(root: Path, name: bytes) -> None:
    path = root / "pkg/sub" / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    with pytest.raises(InvalidRule, match="not printable") as caught:
        closure(root / "scripts/step.py", root)
    assert str(caught.value).isascii()
